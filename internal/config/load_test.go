package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/tools/txtar"
)

// write makes the files of an archive in a folder of their own.
func write(t *testing.T, archive string) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "shop")
	for _, f := range txtar.Parse([]byte(archive)).Files {
		path := filepath.Join(dir, f.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, f.Data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// load loads the files of an archive; text without files is foster.yaml.
func load(t *testing.T, archive string, environ ...string) (*Project, error) {
	t.Helper()
	if !strings.Contains(archive, "-- ") {
		archive = "-- foster.yaml --\n" + archive
	}
	if environ == nil {
		environ = []string{"HOME=/home/x"}
	}
	return Load(Source{Dir: write(t, archive), Environ: environ})
}

func mustLoad(t *testing.T, archive string, environ ...string) *Project {
	t.Helper()
	p, err := load(t, archive, environ...)
	if err != nil {
		for _, problem := range problemsOf(err) {
			t.Log(problem)
		}
		t.Fatal(err)
	}
	return p
}

func problemsOf(err error) []Problem {
	if e, ok := IsError(err); ok {
		return e.Problems
	}
	return nil
}

func TestDefaults(t *testing.T) {
	p := mustLoad(t, "apps:\n  web:\n    command: sleep 1\n")
	if p.Name != "shop" || p.Grace != time.Hour || p.History != (History{100, 30 * 24 * time.Hour}) || len(p.Files) != 1 {
		t.Errorf("got %+v", p)
	}
	a := p.Apps[0]
	if a.Name != "web" || a.Dir != p.Dir || !a.Autostart || a.Replicas != 1 || a.Containment != "auto" || a.Until != "tree" || a.OnLeaderLoss != LossContinue {
		t.Errorf("got %+v", a)
	}
	if r := a.Restart; r.Policy != RestartOnFailure || r.Backoff != (Backoff{time.Second, 2, time.Minute, 0.1}) || r.MaxRestarts != 0 {
		t.Errorf("got %+v", r)
	}
	if a.Stop.Signal != 15 || a.Stop.Scope != "tree" || a.Stop.Timeout != 10*time.Second || a.Hooks.Timeout != 30*time.Second {
		t.Errorf("got %+v, %+v", a.Stop, a.Hooks)
	}
	if a.Logs != (Logs{Format: "plain", MaxSize: 10 << 20, MaxFiles: 5, OnFull: "drop"}) {
		t.Errorf("got %+v", a.Logs)
	}
	if strings.Join(a.Env, " ") != "HOME=/home/x PWD="+p.Dir || a.Inherited != 1 {
		t.Errorf("got %q, %d", a.Env, a.Inherited)
	}
}

// What an earlier version of foster has noted doesn't know newer keys: their defaults are no
// reason to restart anything.
func TestDefaultsOfNewerKeysAreNoChange(t *testing.T) {
	p := mustLoad(t, "apps: {web: {command: x}}")
	old := p.Apps[0]
	old.Stdin, old.EndsProject, old.Groups, old.StartTimeout, old.Forking, old.RemainAfterExit = "", "", nil, 0, false, false
	if fields, restart := Changes(old, p.Apps[0]); len(fields) > 0 || restart {
		t.Errorf("%v, restart %v", fields, restart)
	}
}
