package pid1

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
)

func TestReactions(t *testing.T) {
	native, tini, dumb := newNative(), newTini(), newDumbInit()
	native.StopSignals = []syscall.Signal{syscall.SIGTERM, syscall.SIGINT}
	native.Rewrite[syscall.SIGINT] = syscall.SIGQUIT
	native.Rewrite[syscall.SIGHUP] = 0
	dumb.Scope = foster.ScopeGroup
	dumb.stopForTerminal()
	const leader, group, tree = foster.ScopeLeader, foster.ScopeGroup, foster.ScopeTree
	for _, tt := range []struct {
		o     *Options
		s     syscall.Signal
		ended bool
		want  reaction
	}{
		{native, syscall.SIGTERM, false, reaction{syscall.SIGTERM, leader, true, false}},
		{native, syscall.SIGTERM, true, reaction{syscall.SIGTERM, tree, true, false}},
		{native, syscall.SIGINT, false, reaction{syscall.SIGQUIT, leader, true, false}},
		{native, syscall.SIGHUP, false, reaction{0, leader, false, false}},
		{native, syscall.SIGUSR1, false, reaction{syscall.SIGUSR1, leader, false, false}},
		{native, syscall.SIGTSTP, false, reaction{syscall.SIGTSTP, leader, false, false}},
		{native, 64, false, reaction{64, leader, false, false}},
		{native, syscall.SIGURG, false, reaction{}},
		{native, syscall.SIGPIPE, false, reaction{}},
		{native, syscall.SIGCHLD, false, reaction{}},
		{native, syscall.SIGSEGV, false, reaction{}},
		{tini, syscall.SIGTERM, false, reaction{syscall.SIGTERM, leader, false, false}},
		{tini, syscall.SIGTTOU, false, reaction{}},
		{tini, syscall.SIGTSTP, false, reaction{syscall.SIGTSTP, leader, false, false}},
		{dumb, syscall.SIGTERM, false, reaction{syscall.SIGTERM, group, false, false}},
		{dumb, syscall.SIGTSTP, false, reaction{syscall.SIGSTOP, group, false, true}},
	} {
		if got := tt.o.react(tt.s, tt.ended); got != tt.want {
			t.Errorf("dialect %d, %v, leader ended %v: got %+v, want %+v", tt.o.Dialect, tt.s, tt.ended, got, tt.want)
		}
	}
}

// TestEachSignalIsForwardedOrHasAReason walks all of them.
func TestEachSignalIsForwardedOrHasAReason(t *testing.T) {
	o := newNative()
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		does := o.react(s, false).forward == s
		if does == (whyNot(s) != "") {
			t.Errorf("signal %d: forwarded: %v, why not: %q", s, does, whyNot(s))
		}
		if does && !slices.Contains(caught(), s) {
			t.Errorf("signal %d isn't caught", s)
		}
	}
	for _, s := range []syscall.Signal{-1, 0, 65, 1 << 20} {
		if r := o.react(s, false); r != (reaction{}) {
			t.Errorf("signal %d: %+v", s, r)
		}
	}
}

func TestSignalsWaitInOrderAndNoneIsLost(t *testing.T) {
	in, out := make(chan os.Signal), make(chan syscall.Signal)
	go pump(in, out) // for the life of the test binary, as for that of an init
	for range 10_000 {
		in <- syscall.SIGUSR1
	}
	in <- syscall.SIGTERM
	in <- syscall.SIGUSR1
	if a, b := <-out, <-out; a != syscall.SIGUSR1 || b != syscall.SIGTERM {
		t.Errorf("got %v, %v", a, b)
	}
}

func TestStatuses(t *testing.T) {
	exec := func(err error) error { return &foster.StartError{Stage: foster.StageExec, Err: err} }
	other := errors.New("no fork")
	for _, tt := range []struct {
		err                error
		native, tini, dumb int
	}{
		{exec(syscall.ENOENT), 127, 127, 2},
		{exec(syscall.EACCES), 126, 126, 2},
		{exec(syscall.ENOEXEC), 126, 1, 2},
		{other, 125, 1, 1},
	} {
		got := [3]int{Native.startStatus(tt.err), Tini.startStatus(tt.err), DumbInit.startStatus(tt.err)}
		if want := [3]int{tt.native, tt.tini, tt.dumb}; got != want {
			t.Errorf("%v: got %v, want %v", tt.err, got, want)
		}
	}
	for want, s := range map[int]foster.Status{
		0: {Known: true}, 3: {Known: true, Code: 3}, 143: {Known: true, Signal: syscall.SIGTERM}, 125: {},
	} {
		if got := status(s); got != want {
			t.Errorf("%+v: got %d, want %d", s, got, want)
		}
	}
}

type file struct{ mode fs.FileMode }

func (f file) Mode() fs.FileMode  { return f.mode }
func (f file) IsDir() bool        { return f.mode.IsDir() }
func (f file) Name() string       { return "" }
func (f file) Size() int64        { return 0 }
func (f file) ModTime() time.Time { return time.Time{} }
func (f file) Sys() any           { return nil }

func TestLookupIsThatOfExecvp(t *testing.T) {
	stat := func(path string) (fs.FileInfo, error) {
		switch path {
		case "/b/app", "./here":
			return file{0o755}, nil
		case "/a/app", "/a/plain":
			return file{0o644}, nil
		case "/a/dir":
			return file{fs.ModeDir | 0o755}, nil
		}
		if strings.HasPrefix(path, "/closed/") {
			return nil, fs.ErrPermission
		}
		return nil, fs.ErrNotExist
	}
	for _, tt := range []struct {
		name, path, want string
		err              error
	}{
		{"app", "/a:/b", "/b/app", nil},
		{"/x/app", "/a", "/x/app", nil},
		{"./app", "/b", "./app", nil},
		{"plain", "/a:/b", "", syscall.EACCES},
		{"dir", "/a", "", syscall.EACCES},
		{"app", "/closed", "", syscall.EACCES},
		{"app", "/closed:/b", "/b/app", nil},
		{"here", "/a:", "./here", nil},
		{"app", "", "", syscall.ENOENT},
		{"", "/a:/b", "", syscall.ENOENT},
	} {
		got, err := lookup(tt.name, tt.path, stat)
		if got != tt.want || err != tt.err {
			t.Errorf("%q in %q: got %q, %v", tt.name, tt.path, got, err)
		}
	}
}

// stuck is a reader of standard error that reads nothing.
type stuck struct{ never chan struct{} }

func (s stuck) Write(p []byte) (int, error) { <-s.never; return len(p), nil }

func TestNobodyWhoReadsHoldsUpNothing(t *testing.T) {
	s := stuck{make(chan struct{})}
	defer close(s.never)
	v := newVoice(newNative(), s)
	for range 10_000 {
		v.say(warn, "a line")
	}
	v.close()
	v.say(warn, "too late")
}

func TestCalledAs(t *testing.T) {
	for name, want := range map[string]Dialect{
		"foster": Native, "foster-init": Native, "/sbin/tini": Tini, "tini-static": Tini, "/usr/bin/dumb-init": DumbInit,
		"": Native, "dumb-init/": DumbInit, "tini2": Native,
	} {
		if got, ok := CalledAs(name); got != want || ok != (want != Native) {
			t.Errorf("%q: got %d, %v", name, got, ok)
		}
	}
}

func TestPrefixesAreThoseOfTheDialect(t *testing.T) {
	if got := prefix(Tini, warn); !strings.HasPrefix(got, "[WARN  tini (") {
		t.Errorf("got %q", got)
	}
	if got := prefix(Tini, fatal); !strings.HasPrefix(got, "[FATAL tini (") {
		t.Errorf("got %q", got)
	}
	if got := prefix(DumbInit, warn); got != "[dumb-init] " {
		t.Errorf("got %q", got)
	}
}
