package pid1

import (
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
)

func noEnv(string) (string, bool) { return "", false }

func env(pairs ...string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		for _, p := range pairs {
			if k, v, _ := strings.Cut(p, "="); k == key {
				return v, true
			}
		}
		return "", false
	}
}

func TestNativeCommandLine(t *testing.T) {
	for line, want := range map[string]func(*Options){
		"server":                           func(*Options) {},
		"server -v --until tree":           func(o *Options) { o.Command = []string{"server", "-v", "--until", "tree"} },
		"-- server":                        func(*Options) {},
		"-- --until":                       func(o *Options) { o.Command = []string{"--until"} },
		"--until tree server":              func(o *Options) { o.UntilTree = true },
		"--until=leader server":            func(*Options) {},
		"--stop-timeout 1min server":       func(o *Options) { o.StopTimeout = time.Minute },
		"--stop-timeout=0 server":          func(o *Options) { o.StopTimeout = 0 },
		"--stop-signal INT server":         func(o *Options) { o.StopSignals = []syscall.Signal{syscall.SIGINT} },
		"-gvv server":                      func(o *Options) { o.Scope, o.Verbosity = foster.ScopeGroup, debug },
		"-e143 -e 0 server":                func(o *Options) { o.ExitZero[143], o.ExitZero[0] = true, true },
		"--exit-zero-on 255 server":        func(o *Options) { o.ExitZero[255] = true },
		"-r TERM:INT -rhup:0 -- server":    func(o *Options) { o.Rewrite[15], o.Rewrite[1] = syscall.SIGINT, 0 },
		"--rewrite RTMIN+3:SIGTERM server": func(o *Options) { o.Rewrite[37] = syscall.SIGTERM },
	} {
		o := newNative()
		o.Command = []string{"server"}
		want(o)
		if o.StopSignals == nil {
			o.StopSignals = []syscall.Signal{syscall.SIGTERM}
		}
		checkLine(t, Native, line, noEnv, o)
	}
}

func checkLine(t *testing.T, d Dialect, line string, lookupEnv func(string) (string, bool), want *Options) {
	t.Helper()
	got, err := Parse(d, strings.Fields(line), lookupEnv)
	if err != nil {
		t.Errorf("%q: %v", line, err)
	} else if !reflect.DeepEqual(got, want) {
		t.Errorf("%q: got %+v, want %+v", line, got, want)
	}
}

func TestTiniCommandLine(t *testing.T) {
	for line, want := range map[string]func(*Options){
		"-- app -g":              func(o *Options) { o.Command = []string{"app", "-g"} },
		"app -g":                 func(o *Options) { o.Command = []string{"app", "-g"} },
		"-sgv app":               func(o *Options) { o.Scope, o.Verbosity = foster.ScopeGroup, info },
		"-vvv -w app":            func(o *Options) { o.Verbosity, o.WarnReaped = trace, true },
		"-e143 -e 3 app":         func(o *Options) { o.ExitZero[143], o.ExitZero[3] = true, true },
		"-pSIGKILL app":          func(o *Options) { o.ParentDeath = syscall.SIGKILL },
		"-sp SIGTERM -- app":     func(o *Options) { o.ParentDeath = syscall.SIGTERM },
		"-ge 1 app":              func(o *Options) { o.Scope, o.ExitZero[1] = foster.ScopeGroup, true },
		"--version":              func(o *Options) { o.Command, o.Answer = nil, tiniVersion },
		"-h":                     func(o *Options) { o.Command, o.Answer = nil, tiniUsage },
		"-l app":                 func(o *Options) { o.Answer = tiniLicense },
		"-- --version":           func(o *Options) { o.Command = []string{"--version"} },
		"TINI_SUBREAPER= -- app": func(o *Options) { o.Command = []string{"TINI_SUBREAPER=", "--", "app"} },
	} {
		o := newTini()
		o.Command = []string{"app"}
		want(o)
		checkLine(t, Tini, line, noEnv, o)
	}
	o := newTini()
	o.Command, o.Scope, o.Verbosity = []string{"app"}, foster.ScopeGroup, debug
	checkLine(t, Tini, "-v app", env("TINI_KILL_PROCESS_GROUP=", "TINI_SUBREAPER=1", "TINI_VERBOSITY=3x"), o)
	o.Verbosity = fatal
	checkLine(t, Tini, "app", env("TINI_KILL_PROCESS_GROUP=1", "TINI_VERBOSITY="), o)
}

func TestDumbInitCommandLine(t *testing.T) {
	stops := map[syscall.Signal]syscall.Signal{
		syscall.SIGTSTP: syscall.SIGSTOP, syscall.SIGTTIN: syscall.SIGSTOP, syscall.SIGTTOU: syscall.SIGSTOP,
	}
	for line, want := range map[string]func(*Options){
		"app -c":               func(o *Options) { o.Command = []string{"app", "-c"} },
		"-- app":               func(*Options) {},
		"-r 15:2 app":          func(o *Options) { o.Rewrite[15] = 2 },
		"--rewrite=15:0 app":   func(o *Options) { o.Rewrite[15] = 0 },
		"--rew 20:20 -- app":   func(o *Options) { o.Rewrite[20] = 20 },
		"-vr1:3 -r 2:15 app":   func(o *Options) { o.Verbosity, o.Rewrite[1], o.Rewrite[2] = trace, 3, 15 },
		"-c app":               single,
		"--single-child app":   single,
		"-cv app":              func(o *Options) { single(o); o.Verbosity = trace },
		"--verb app":           func(o *Options) { o.Verbosity = trace },
		"-V":                   func(o *Options) { o.Command, o.Answer, o.AnswerOnStderr = nil, dumbInitVersion, true },
		"--help":               func(o *Options) { o.Command, o.Answer = nil, dumbInitUsage },
		"app --rewrite 99:100": func(o *Options) { o.Command = []string{"app", "--rewrite", "99:100"} },
	} {
		o := newDumbInit()
		o.Command, o.Scope, o.Rewrite = []string{"app"}, foster.ScopeGroup, map[syscall.Signal]syscall.Signal{}
		for s, r := range stops {
			o.Rewrite[s] = r
		}
		want(o)
		if o.Answer != "" { // and nothing else
			o.Scope, o.Rewrite = foster.ScopeLeader, map[syscall.Signal]syscall.Signal{}
		}
		checkLine(t, DumbInit, line, noEnv, o)
	}
	o := newDumbInit()
	o.Command = []string{"app"}
	single(o)
	o.Verbosity = trace
	checkLine(t, DumbInit, "app", env("DUMB_INIT_SETSID=0", "DUMB_INIT_DEBUG=1"), o)
}

func single(o *Options) {
	o.Session, o.Scope, o.Rewrite = false, foster.ScopeLeader, map[syscall.Signal]syscall.Signal{}
}

func TestCompatIsAnotherProgramsCommandLine(t *testing.T) {
	for line, dialect := range map[string]Dialect{
		"--compat tini -g -- app":   Tini,
		"--compat=tini -g app":      Tini,
		"--compat dumb-init -c app": DumbInit,
		"--compat=dumb-init app -c": DumbInit,
	} {
		o, err := Parse(Native, strings.Fields(line), noEnv)
		if err != nil || o.Dialect != dialect || o.Command[0] != "app" {
			t.Errorf("%q: got %+v, %v", line, o, err)
		}
	}
}

func TestCommandLinesThatAreRefused(t *testing.T) {
	for _, tt := range []struct {
		dialect Dialect
		line    string
		want    string
	}{
		{Native, "", "no command was given"},
		{Native, "--", "no command was given"},
		{Native, "-v", "no command was given"},
		{Native, "-z app", "unknown flag: -z"},
		{Native, "-vz app", "unknown flag: -z"},
		{Native, "--nope app", "unknown flag: --nope"},
		{Native, "--unt tree app", "unknown flag: --unt"},
		{Native, "--=x app", "unknown flag: --"},
		{Native, "--group=1 app", "--group takes no argument"},
		{Native, "--until", "--until needs an argument: WORD"},
		{Native, "-e", "-e needs an argument: STATUS"},
		{Native, "--until noon app", `--until: "noon" is none of leader, tree`},
		{Native, "--stop-timeout soon app", `--stop-timeout: "soon" is not a time`},
		{Native, "--stop-signal KILL app", "--stop-signal: SIGKILL isn't forwarded: it can't be caught"},
		{Native, "--stop-signal FOO app", `--stop-signal: "FOO" is no signal`},
		{Native, "-r TERM app", `--rewrite: "TERM" is not S:R`},
		{Native, "-r TERM: app", `--rewrite: "" is no signal`},
		{Native, "-r TERM:65 app", `--rewrite: "65" is no signal`},
		{Native, "-r URG:INT app", "--rewrite: SIGURG isn't forwarded: Go's runtime sends it to itself"},
		{Native, "-r 34:INT app", "--rewrite: SIGRTMIN isn't forwarded"},
		{Native, "-e 256 app", `--exit-zero-on: "256" is no exit status`},
		{Native, "-e -1 app", `--exit-zero-on: "-1" is no exit status`},
		{Native, "--compat jail app", `--compat: "jail" is none of tini, dumb-init`},
		{Native, "-v --compat tini app", "--compat: it stands before all other flags"},
		{Native, "--compat", "--compat needs an argument: NAME"},
		{Tini, "", "no command was given"},
		{Tini, "-s", "no command was given"},
		{Tini, "-z app", "unknown flag: -z"},
		{Tini, "--version app", "unknown flag: --version"},
		{Tini, "-p 9 app", `-p: "9" is no signal`},
		{Tini, "-p", "-p needs an argument: SIGNAL"},
		{Tini, "-e 256 app", `-e: "256" is no exit status`},
		{DumbInit, "", "no command was given"},
		{DumbInit, "--ver", "--ver is the beginning of several flags"},
		{DumbInit, "-r 99:1 app", `-r: "99:1" is not S:R`},
		{DumbInit, "-r 0:1 app", `-r: "0:1" is not S:R`},
		{DumbInit, "-r 15 app", `-r: "15" is not S:R`},
		{DumbInit, "-r TERM:INT app", `-r: "TERM:INT" is not S:R`},
		{DumbInit, "--single-child=1 app", "--single-child takes no argument"},
	} {
		o, err := Parse(tt.dialect, strings.Fields(tt.line), noEnv)
		if err == nil || !strings.Contains(err.Text, tt.want) || err.Dialect != tt.dialect {
			t.Errorf("%q: got %+v, %v; want %q", tt.line, o, err, tt.want)
		}
	}
}

// FuzzParse: whatever the command line is, it is refused, or it is understood and
// its end is the command.
func FuzzParse(f *testing.F) {
	for _, line := range []string{
		"-- server -v", "--until tree server", "-gvve143 -rTERM:INT app", "-sp SIGKILL -- app", "-l", "--version",
		"-cvr15:0 app", "--rew=1:2 app", "--compat tini -w app", "--compat=", "-", "--", "---", "",
	} {
		f.Add(uint8(1), line, "3")
	}
	f.Fuzz(func(t *testing.T, dialect uint8, line, value string) {
		d := Dialect(dialect%3 + 1)
		args := strings.Split(line, " ")
		o, err := Parse(d, args, func(string) (string, bool) { return value, value != "" })
		switch {
		case (o == nil) == (err == nil):
			t.Errorf("%q: got %v, %v", line, o, err)
		case err != nil && strings.TrimSpace(err.Text) == "":
			t.Errorf("%q: an error without a text", line)
		case o != nil && o.Answer == "":
			if n := len(args) - len(o.Command); len(o.Command) == 0 || !slices.Equal(args[n:], o.Command) {
				t.Errorf("%q: the command is %q", line, o.Command)
			}
			if o.Verbosity < 0 {
				t.Errorf("%q: verbosity %d", line, o.Verbosity)
			}
		}
	})
}
