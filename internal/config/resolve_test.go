package config

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// own are the variables of an application that it doesn't inherit, less PWD.
func own(a App) []string {
	return slices.DeleteFunc(slices.Clone(a.Env[a.Inherited:]), func(e string) bool { return strings.HasPrefix(e, "PWD=") })
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func TestLaterFilesAreMergedByKey(t *testing.T) {
	dir := write(t, `
-- a.yaml --
name: one
logs: {max_size: 1M, format: json}
apps:
  web: {command: [a, b], environment: [A=1, B=2], restart: {max_restarts: 3}, stop: {timeout: 5s}}
-- sub/b.yaml --
name: two
logs: {max_files: 2}
apps:
  web: {command: [c], environment: {B: 3}, restart: {policy: always}, working_dir: .}
  db: {command: d}
`)
	p, err := Load(Source{Dir: dir, Files: []string{"a.yaml", "sub/b.yaml"}, Environ: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	same(t, "name", p.Name, "two")
	same(t, "dir", p.Dir, dir)
	same(t, "files", p.Files, []string{filepath.Join(dir, "a.yaml"), filepath.Join(dir, "sub/b.yaml")})
	web, db := p.Apps[0], p.Apps[1]
	same(t, "command", web.Command, []string{"c"})
	same(t, "environment", own(web), []string{"A=1", "B=3"})
	same(t, "folder", web.Dir, filepath.Join(dir, "sub"))
	same(t, "folder of the other", db.Dir, filepath.Join(dir, "sub"))
	if web.Restart.MaxRestarts != 3 || web.Restart.Policy != RestartAlways || web.Stop.Timeout != 5*time.Second {
		t.Errorf("got %+v, %+v", web.Restart, web.Stop)
	}
	if web.Logs.MaxSize != 1<<20 || web.Logs.MaxFiles != 2 || web.Logs.Format != "json" {
		t.Errorf("got %+v", web.Logs)
	}
}

func TestIncludedFilesGiveWay(t *testing.T) {
	p := mustLoad(t, `
-- foster.yaml --
include: [common/base.yaml]
apps:
  web: {command: web, environment: {A: own}}
-- common/base.yaml --
include: more.yaml
apps:
  web: {command: other, description: from base, environment: {A: base, B: base}}
-- common/more.yaml --
apps:
  db: {command: db, env_file: db.env}
-- common/db.env --
X=1
`)
	same(t, "applications", []string{p.Apps[0].Name, p.Apps[1].Name}, []string{"db", "web"})
	same(t, "command", p.Apps[1].Command, []string{"web"})
	same(t, "environment", own(p.Apps[1]), []string{"A=own", "B=base"})
	same(t, "environment of the included", own(p.Apps[0]), []string{"X=1"})
	same(t, "folder of the included", p.Apps[0].Dir, filepath.Join(p.Dir, "common"))
	_, err := load(t, "-- foster.yaml --\ninclude: a.yaml\n-- a.yaml --\ninclude: foster.yaml\n")
	if err == nil || !strings.Contains(err.Error(), "a.yaml:1:10: include: files include each other: foster.yaml -> a.yaml -> foster.yaml") {
		t.Errorf("got %v", err)
	}
}

func TestExtends(t *testing.T) {
	p := mustLoad(t, `
-- foster.yaml --
apps:
  .base: {command: base, environment: {A: 1, B: 1}, restart: {max_restarts: 2}}
  web: {extends: .base, environment: {B: 2}}
  api: {extends: web, environment: {C: 3}, restart: {policy: always}}
  far: {extends: {file: lib/common.yaml, app: job}, description: far}
-- lib/common.yaml --
apps:
  .all: {working_dir: work, command: ./all}
  job: {extends: .all, env_file: job.env}
-- lib/job.env --
J=1
`)
	var names []string
	for _, a := range p.Apps {
		names = append(names, a.Name)
	}
	same(t, "applications", names, []string{"web", "api", "far"})
	same(t, "web", own(p.Apps[0]), []string{"A=1", "B=2"})
	same(t, "api", own(p.Apps[1]), []string{"A=1", "B=2", "C=3"})
	same(t, "far", own(p.Apps[2]), []string{"J=1"})
	same(t, "folder", p.Apps[2].Dir, filepath.Join(p.Dir, "lib", "work"))
	same(t, "command", p.Apps[2].Command, []string{"./all"})
	if r := p.Apps[1].Restart; r.MaxRestarts != 2 || r.Policy != RestartAlways {
		t.Errorf("got %+v", r)
	}
}

func TestAliasesAndMergeKeys(t *testing.T) {
	p := mustLoad(t, `
x-base: &base {restart: always, environment: &env {A: 1}}
x-more: &more {notify: true, restart: "no"}
apps:
  web: {<<: [*base, *more], command: web}
  db: {<<: *more, command: db, environment: {<<: *env, B: 2}}
`)
	web, db := p.Apps[0], p.Apps[1]
	if web.Restart.Policy != RestartAlways || !web.Notify || db.Restart.Policy != RestartNo {
		t.Errorf("got %+v, %+v", web.Restart, db.Restart)
	}
	same(t, "environment", own(db), []string{"B=2", "A=1"})
}

func TestEnvironmentOfAnApplication(t *testing.T) {
	p := mustLoad(t, `
-- foster.yaml --
env_file: all.env
environment: {B: project, C: project, N: 1.50, T: true}
apps:
  web:
    command: web
    env_file: [one.env, two.env]
    environment: [D=app, "E=${HOME}/x", FROM_DOTENV, NEVER_SET]
-- all.env --
A=all
B=all
-- one.env --
C=one
D=one
-- two.env --
F=two
-- .env --
FROM_DOTENV=dotenv
HOME=not this
`, "HOME=/root", "A=inherited", "Z=z", "NOTIFY_SOCKET=@x", "SHLVL=1")
	same(t, "environment", p.Apps[0].Env, []string{
		"Z=z", "HOME=/root",
		"PWD=" + p.Dir, "A=all", "B=project", "N=1.50", "T=true", "C=one", "F=two", "D=app", "E=/root/x", "FROM_DOTENV=dotenv",
	})
	same(t, "inherited", p.Apps[0].Inherited, 2)
}

func TestFilesThatCannotBeRead(t *testing.T) {
	dir := write(t, "-- foster.yaml --\napps: {a: {command: x, env_file: [no.env, /dev/zero, sub]}}\ninclude: [sub, no.yaml]\n-- sub/x --\n")
	for _, files := range [][]string{nil, {"/dev/zero"}, {"sub"}} {
		_, err := Load(Source{Dir: dir, Files: files, Environ: []string{}})
		for _, p := range problemsOf(err) {
			if !strings.Contains(p.Text, "can't read /") {
				t.Errorf("got %v", p)
			}
		}
		if problemsOf(err) == nil {
			t.Errorf("got %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "foster.yaml"), []byte("apps: {a: {command: x, env_file: [no.env, /dev/zero, sub]}}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Load(Source{Dir: dir, Environ: []string{}})
	var texts []string
	for _, p := range problemsOf(err) {
		texts = append(texts, strings.ReplaceAll(p.Text, dir, "DIR"))
	}
	same(t, "problems", texts, []string{
		"can't read DIR/no.env: no such file or directory", "can't read /dev/zero: it has more than 4194304 bytes", "can't read DIR/sub: is a directory",
	})
}

func TestShell(t *testing.T) {
	p := mustLoad(t, `
apps:
  a: {command: "a | b $HOME ${HOME} $$$$", shell: true, hooks: {pre_start: "x && y", post_stop: [p, q r]}}
  b: {command: a, shell: /bin/bash, readiness_probe: {exec: "t > u"}}
  c: {command: a, shell: false, stop: {command: "t 'u v'"}}
`)
	same(t, "a", p.Apps[0].Command, []string{"/bin/sh", "-c", "a | b $HOME /home/x $$"})
	same(t, "hook", p.Apps[0].Hooks.PreStart, []string{"/bin/sh", "-c", "x && y"})
	same(t, "hook that is a list", p.Apps[0].Hooks.PostStop, []string{"p", "q r"})
	same(t, "b", p.Apps[1].Command, []string{"/bin/bash", "-c", "a"})
	same(t, "probe", p.Apps[1].Readiness.Exec, []string{"/bin/bash", "-c", "t > u"})
	same(t, "c", p.Apps[2].Stop.Command, []string{"t", "u v"})
}

func TestProcfile(t *testing.T) {
	p := mustLoad(t, `
-- Procfile --
# the shop
web: bin/web -p $PORT --x "${HOME}"

worker:  ./worker | tee log
-- .env --
A="b c"
HOME=not this
`)
	web, worker := p.Apps[0], p.Apps[1]
	same(t, "web", web.Command, []string{"/bin/sh", "-c", `bin/web -p $PORT --x "${HOME}"`})
	same(t, "worker", worker.Command, []string{"/bin/sh", "-c", "./worker | tee log"})
	same(t, "ports", []int{web.Port, worker.Port}, []int{5000, 5100})
	same(t, "environment", own(web), []string{"A=b c", "HOME=/home/x"})
	if env := web.Instance("shop", 2).Env; !slices.Contains(env, "PORT=5001") {
		t.Errorf("got %q", env)
	}
	p = mustLoad(t, "-- Procfile --\nweb: x\n-- .env --\nPORT=3000\n")
	same(t, "port", p.Apps[0].Port, 3000)
	_, err := load(t, "-- Procfile --\nweb: x\nweb x\nweb: y\n")
	var texts []string
	for _, problem := range problemsOf(err) {
		texts = append(texts, oneLine(problem))
	}
	same(t, "problems", texts, []string{
		"2:1 : expected NAME: COMMAND",
		"3:1 apps.web: the application is there twice: first in line 1",
	})
}

func TestYAMLGoesBeforeProcfile(t *testing.T) {
	p := mustLoad(t, "-- foster.yml --\napps: {a: {command: x}}\n-- Procfile --\nb: y\n")
	same(t, "files", p.Files, []string{filepath.Join(p.Dir, "foster.yml")})
	_, err := Load(Source{Dir: t.TempDir()})
	if !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v", err)
	}
	if _, err = Load(Source{Dir: t.TempDir(), Files: []string{"x.yaml"}}); err == nil || !strings.Contains(err.Error(), "x.yaml: can't read ") {
		t.Errorf("got %v", err)
	}
}

func TestReplicasHaveTheirVariables(t *testing.T) {
	p := mustLoad(t, `
apps:
  web:
    command: web --id ${FOSTER_REPLICA} "${FOSTER_APP}-x"
    working_dir: run/${FOSTER_REPLICA}
    environment: {ID: "${FOSTER_PROJECT}-${FOSTER_REPLICA}/${FOSTER_REPLICAS}"}
    replicas: 3
    port: 8000
    readiness_probe: {exec: [check, "${FOSTER_REPLICA}"]}
    liveness_probe: {http_get: {port: 80, path: "/${FOSTER_REPLICA}", headers: {A: "${FOSTER_APP}"}}}
`)
	a := p.Apps[0].Instance(p.Name, 2)
	same(t, "command", a.Command, []string{"web", "--id", "2", "web-x"})
	same(t, "folder", a.Dir, filepath.Join(p.Dir, "run/2"))
	same(t, "environment", own(a), []string{"ID=shop-2/3", "FOSTER_APP=web", "FOSTER_PROJECT=shop", "FOSTER_REPLICA=2", "FOSTER_REPLICAS=3", "PORT=8001"})
	same(t, "probe", a.Readiness.Exec, []string{"check", "2"})
	same(t, "path", a.Liveness.HTTP.Path, "/2")
	same(t, "header", a.Liveness.HTTP.Headers["A"], "web")
	p = mustLoad(t, "apps: {web: {command: x, port: 1, environment: {FOSTER_APP: mine}}}\n", "PORT=9", "FOSTER_REPLICA=7", "A=b")
	a = p.Apps[0].Instance(p.Name, 1)
	same(t, "whole environment", a.Env, []string{"A=b", "PWD=" + p.Dir, "FOSTER_APP=web", "FOSTER_PROJECT=shop", "FOSTER_REPLICA=1", "FOSTER_REPLICAS=1", "PORT=1"})
	same(t, "what is inherited of it", a.Inherited, 1)
}

func TestEachReplicaIsAskedAtItsPort(t *testing.T) {
	p := mustLoad(t, "apps: {web: {command: x, port: 8000, replicas: 2, readiness_probe: {tcp: {}}, liveness_probe: {http_get: {}}}, db: {command: x, liveness_probe: {http_get: {scheme: https}}}}\n")
	for n := 1; n <= 2; n++ {
		a := p.Apps[0].Instance(p.Name, n)
		same(t, "ports", []int{a.Readiness.TCP.Port, a.Liveness.HTTP.Port}, []int{7999 + n, 7999 + n})
	}
	same(t, "port of the scheme", p.Apps[1].Instance(p.Name, 1).Liveness.HTTP.Port, 443)
}

func TestAnInstanceLeavesTheApplicationAsItIs(t *testing.T) {
	p := mustLoad(t, "apps: {web: {command: x, liveness_probe: {http_get: {headers: {A: \"${FOSTER_APP}\"}}}}}\n", "FOSTER_APP=other", "A=b")
	before := strings.Join(p.Apps[0].Env, " ")
	_ = p.Apps[0].Instance(p.Name, 1)
	same(t, "environment", strings.Join(p.Apps[0].Env, " "), before)
	same(t, "the application itself", p.Apps[0].Liveness.HTTP.Headers["A"], "${FOSTER_APP}")
}

func TestWhatIsInheritedIsNoChange(t *testing.T) {
	text := "apps: {a: {command: x, environment: {A: \"${A:-1}\"}}}\n"
	dir := write(t, "-- foster.yaml --\n"+text)
	load := func(environ ...string) App {
		p, err := Load(Source{Dir: dir, Environ: environ})
		if err != nil {
			t.Fatal(err)
		}
		return p.Apps[0]
	}
	if fields, restart := Changes(load("TERM=a"), load("TERM=b", "X=y")); len(fields) > 0 || restart {
		t.Errorf("got %v, %v", fields, restart)
	}
	if fields, restart := Changes(load("TERM=a"), load("TERM=a", "A=2")); !slices.Equal(fields, []string{"Env"}) || !restart {
		t.Errorf("got %v, %v", fields, restart)
	}
}

// A process can't be given a socket after it was started.
func TestAReadinessByNotifyNeedsARestart(t *testing.T) {
	plain, tcp, notify := App{}, App{Readiness: &Probe{TCP: &TCPProbe{Port: 80}}}, App{Readiness: &Probe{Notify: true}}
	if _, restart := Changes(plain, tcp); restart {
		t.Error("tcp: restarted")
	}
	for _, old := range []App{plain, tcp} {
		if _, restart := Changes(old, notify); !restart {
			t.Errorf("%+v to notify: not restarted", old)
		}
	}
}
