package importer

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// imported is the first application that a file becomes, as foster up has it.
func imported(t *testing.T, name, text string) config.App {
	t.Helper()
	content := map[string]string{name: text}
	r := &reader{files: memory(content), out: "/srv"}
	res, err := r.run([]string{name}, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(t, res.YAML, content)
	if err != nil {
		t.Fatal(allProblems(err))
	}
	return p.Apps[0]
}

// refused wants an error that says where.
func refused(t *testing.T, name, text, want string) {
	t.Helper()
	r := &reader{files: memory(map[string]string{name: text}), out: "/srv"}
	_, err := r.run([]string{name}, "")
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v; want %q", err, want)
	}
}

func TestSupervisordsRestartsAreBoundedAlike(t *testing.T) {
	r := imported(t, "supervisord.conf", "[program:a]\ncommand=a\nstartsecs=4\nstartretries=3\n").Restart
	if r.Policy != config.RestartOnFailure || r.MaxRestarts != 3 || r.Window != 15*time.Second {
		t.Errorf("got %+v", r)
	}
	// Each start that fails at the last moment, and the pause after it, fit into the window;
	// runs that have lasted don't.
	pause := r.Backoff.Initial
	if failed := 3 * (4*time.Second - time.Millisecond + pause); failed >= r.Window || 3*(4*time.Second+time.Millisecond+pause) < r.Window {
		t.Errorf("the window is %v, the pause %v", r.Window, pause)
	}
	if r := imported(t, "supervisord.conf", "[program:a]\ncommand=a\nstartsecs=0\nautorestart=true").Restart; r.MaxRestarts != 0 || r.Policy != config.RestartAlways {
		t.Errorf("no start fails, and yet %+v", r)
	}
}

func TestSupervisordsStopIsKept(t *testing.T) {
	s := imported(t, "supervisord.conf", "[program:a]\ncommand=a\nstopsignal=QUIT\nstopwaitsecs=7\nstopasgroup=true\n").Stop
	if s.Signal != syscall.SIGQUIT || s.Timeout != 7*time.Second || s.Scope != foster.ScopeGroup {
		t.Errorf("got %+v", s)
	}
	if s := imported(t, "supervisord.conf", "[program:a]\ncommand=a\n").Stop; s.Scope != foster.ScopeLeaderFirst {
		t.Errorf("supervisord signals the first process only; got %+v", s)
	}
}

func TestSupervisordsCommandIsNotRunByAShell(t *testing.T) {
	a := imported(t, "supervisord.conf", "[program:a]\ncommand=/bin/echo $HOME ${HOME} $$ \"a  b\" | cat > x\n")
	if want := []string{"/bin/echo", "$HOME", "${HOME}", "$$", "a  b", "|", "cat", ">", "x"}; !slices.Equal(a.Command, want) {
		t.Errorf("got %q, want %q", a.Command, want)
	}
}

func TestSystemdsDefaultsAreWrittenOut(t *testing.T) {
	a := imported(t, "a.service", "[Service]\nExecStart=/bin/a\n")
	if a.Restart.Policy != config.RestartNo || a.Stop.Timeout != 90*time.Second || a.Dir != "/" || a.Until != foster.UntilLeader {
		t.Errorf("got %+v", a)
	}
	a = imported(t, "a.service", "[Service]\nExecStart=/bin/a\nRestart=always\n")
	if r := a.Restart; r.Backoff.Initial != 100*time.Millisecond || r.MaxRestarts != 5 || r.Window != 10*time.Second {
		t.Errorf("got %+v", a.Restart)
	}
}

func TestAnEmptySettingTakesBackThoseBefore(t *testing.T) {
	a := imported(t, "a.service", "[Service]\nExecStart=/bin/a\nEnvironment=A=1\nEnvironment=\nEnvironment=B=2\nExecStart=\nExecStart=/bin/b $A$B ${B}\n")
	if want := []string{"/bin/b", "$A$B", "2"}; !slices.Equal(a.Command, want) {
		t.Errorf("got %q, want %q", a.Command, want)
	}
	if !slices.Contains(a.Env, "B=2") || slices.Contains(a.Env, "A=1") {
		t.Errorf("got %q", a.Env)
	}
}

// What only a shell can do is done by one, and comes to the same: systemd splits $B at
// blanks, and neither expands globs nor touches what stands in quotes.
func TestVariablesOfAFileReachTheProgramAsWithSystemd(t *testing.T) {
	leaktest.Check(t)
	content := map[string]string{
		"a.service": "[Service]\nEnvironmentFile=/a.env\nExecStart=/usr/bin/printf '[%%s]' ${A} $B '*' \"it's $$1\" x${A}y",
		"/a.env":    "A=one two\nB=three * four\n",
	}
	r := &reader{files: memory(content), out: "/srv"}
	res, err := r.run([]string{"a.service"}, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(t, res.YAML, content)
	if err != nil {
		t.Fatal(allProblems(err))
	}
	a := p.Apps[0]
	cmd := exec.Command(a.Command[0], a.Command[1:]...)
	cmd.Env = a.Env
	out, err := cmd.CombinedOutput()
	if want := "[one two][three][*][four][*][it's $1][xone twoy]"; err != nil || string(out) != want {
		t.Errorf("%q\ngot  %s, %v\nwant %s", a.Command, out, err, want)
	}
}

func TestProcessComposeReplacesVariablesAsItsOwn(t *testing.T) {
	a := imported(t, "process-compose.yaml", "processes: {a: {command: 'x ${HOME} $$HOME $${HOME} $NONE-', environment: ['A=$$x']}}")
	if want := []string{"bash", "-c", "x 1 $HOME ${HOME} -"}; !slices.Equal(a.Command, want) && a.Command[2] != "x  $HOME ${HOME} -" {
		t.Errorf("got %q, want %q", a.Command, want)
	}
	if a.Restart.Policy != config.RestartNo {
		t.Errorf("process-compose restarts nothing by default; got %+v", a.Restart)
	}
}

func TestWhatCantBeReadIsToldWithItsLine(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"supervisord.conf", "[program:a]\n", "supervisord.conf:1: [program:a] has no key command"},
		{"supervisord.conf", "[program:a]\ncommand=a\nnumprocs=x", "supervisord.conf:3: numprocs: "},
		{"supervisord.conf", "[program:a]\ncommand=a %(x)s", "supervisord.conf:2: command: %(x)s is none"},
		{"supervisord.conf", "[program:a]\ncommand='a", "supervisord.conf:2: command: the quote ' is not closed"},
		{"supervisord.conf", "[program:a]\ncommand=a\nexitcodes=0,999", `supervisord.conf:3: exitcodes: "999"`},
		{"supervisord.conf", "[supervisord]\n", "there is no application in it"},
		{"supervisord.conf", "[program:a]\ncommand=\xff", "supervisord.conf:2: it isn't text in UTF-8"},
		{"Procfile", "web: a\nweb: b", "Procfile:2: web is there twice: first in line 1"},
		{"Procfile", "\nweb", "Procfile:2: expected NAME: COMMAND"},
		{"a.service", "[Service]\nType=often\n", `a.service:2: Type: "often"`},
		{"a.service", "[Service]\n", "it has no ExecStart="},
		{"a.service", "[Service]\nExecStart=\"/bin/a\n", "a.service:2: ExecStart: the quote"},
		{"process-compose.yaml", "a: 1\nb: [\n", "process-compose.yaml:"},
		{"process-compose.yaml", "processes:\n  a: {command: x}\n  b: {command: x, depends_on: {c: {}}}", "process-compose.yaml:3: processes.b.depends_on.c: there is no process c"},
		{"process-compose.yaml", "processes:\n  a:\n    command: x\n    replicas: many\n", "process-compose.yaml:4: processes.a.replicas: expected a whole number"},
		{"process-compose.yaml", "processes:\n  a: {}", "process-compose.yaml:2: processes.a: expected the key command"},
		{"process-compose.yaml", "a: &a [*a, *a]\nprocesses: {}", "nested"},
		{"ecosystem.config.json", `{"apps": [{"name": "a"}]}`, "ecosystem.config.json:1: expected the key script"},
	} {
		refused(t, tt.name, tt.text, tt.want)
	}
}

func TestEachRemarkIsInTheText(t *testing.T) {
	var conf strings.Builder
	for i := range 20 {
		fmt.Fprintf(&conf, "[program:p%d]\ncommand=a\nstdout_logfile=/var/log/%d\nserverurl=x\n", i, i)
	}
	r := &reader{files: memory(map[string]string{"supervisord.conf": conf.String()}), out: "/srv"}
	res, err := r.run([]string{"supervisord.conf"}, "")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(res.YAML), "# supervisord.conf:"); n != len(res.Remarks) || n != 40 {
		t.Errorf("%d remarks are written, %d are told", n, len(res.Remarks))
	}
}

func TestAPIDFileIsRemarkedOn(t *testing.T) {
	r := &reader{files: memory(map[string]string{"a.service": "[Service]\nExecStart=/bin/a\nPIDFile=/run/a.pid\n"}), out: "/srv"}
	res, err := r.run([]string{"a.service"}, "")
	if err != nil || !strings.Contains(string(res.YAML), "PIDFile") {
		t.Errorf("%v, %s", err, res.YAML)
	}
}
