package shim

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/procfs"
)

func TestParseNotice(t *testing.T) {
	for text, want := range map[string]notice{
		"":                                 {},
		"READY=1":                          {ready: true},
		"READY=1\nREADY=0\n":               {ready: true},
		"READY=01\nready=1\nREADY":         {},
		"STATUS=":                          {hasText: true},
		"STATUS=a=b\nSTATUS=c = d":         {hasText: true, text: "c = d"},
		"MAINPID=12":                       {mainPID: 12},
		"MAINPID=12\nMAINPID=0":            {mainPID: 12},
		"MAINPID=-1\nMAINPID=1e3":          {},
		"MAINPID=99999999999999999999":     {},
		"EXTEND_TIMEOUT_USEC=1500":         {extend: 1500 * time.Microsecond},
		"EXTEND_TIMEOUT_USEC=-1":           {},
		"WATCHDOG=1":                       {alive: true},
		"WATCHDOG=trigger\nWATCHDOG=x":     {trigger: true},
		"WATCHDOG_USEC=0":                  {},
		"WATCHDOG_USEC=20":                 {watchdog: 20 * time.Microsecond},
		"X=\x00\xff\n=\n\n\nFDSTORE=1\n=1": {},
		"WATCHDOG_USEC=18446744073709551615\nEXTEND_TIMEOUT_USEC=9999999999999999999": {watchdog: forever, extend: forever},
	} {
		if got := parseNotice([]byte(text)); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
	if n := parseNotice([]byte("STATUS=" + strings.Repeat("x", longestNotice))); len(n.text) != longestStatus {
		t.Errorf("a status of %d bytes", len(n.text))
	}
}

func FuzzParseNotice(f *testing.F) {
	for _, s := range []string{"READY=1\nSTATUS=x", "MAINPID=1\nWATCHDOG_USEC=1\n", "EXTEND_TIMEOUT_USEC=18446744073709551615", "=\n=="} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n := parseNotice(b)
		if len(n.text) > longestStatus || n.mainPID < 0 || n.extend < 0 || n.extend > forever || n.watchdog < 0 || n.watchdog > forever {
			t.Errorf("%q: %+v", b, n)
		}
	})
}

// TestOnlyWhoIsOfTheTreeMayNotify: a descendant, and who has ended, if it was a user's
// who could be in the tree.
func TestOnlyWhoIsOfTheTreeMayNotify(t *testing.T) {
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	pid, uid := child.Process.Pid, os.Getuid()
	users := []int{0, uid}
	if !mayNotify(pid, 12345, users) {
		t.Error("a child isn't heard")
	}
	for _, stranger := range []int{os.Getpid(), os.Getppid(), 1, 0, -1} {
		if mayNotify(stranger, uid, users) {
			t.Errorf("process %d is heard, which isn't below this one", stranger)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed, as it was
	if !mayNotify(pid, uid, users) || mayNotify(pid, 12345, users) {
		t.Error("who has ended is heard if it was a user's of the tree, and no other")
	}
}

// TestWhoIsBelowAProcessThatIsHiddenMayNotNotify: the walk up ends, whatever /proc shows.
func TestWhoIsBelowAProcessThatIsHiddenMayNotNotify(t *testing.T) {
	self, looks := os.Getpid(), 0
	proc := func(parents map[int]int, missing func(pid int) bool) func(int) (procfs.Stat, error) {
		looks = 0
		return func(pid int) (procfs.Stat, error) {
			if looks++; looks > 5000 {
				t.Fatal("it looks without end")
			}
			if parents[pid] == 0 || missing(pid) {
				return procfs.Stat{}, os.ErrNotExist
			}
			return procfs.Stat{PID: pid, PPID: parents[pid]}, nil
		}
	}
	chain := map[int]int{1000012: 1000011, 1000011: 1000010, 1000010: self}
	never := func(int) bool { return false }
	for name, tt := range map[string]struct {
		read  func(int) (procfs.Stat, error)
		ended bool
		want  bool
	}{
		"all are seen":         {read: proc(chain, never), want: true},
		"it has ended":         {read: proc(nil, never), ended: true, want: true},
		"its parent is hidden": {read: proc(chain, func(pid int) bool { return pid == 1000011 }), ended: true},
		"one above is hidden":  {read: proc(chain, func(pid int) bool { return pid == 1000010 }), ended: true},
		"it is a stranger's":   {read: proc(map[int]int{1000012: 1000011, 1000011: 1}, never), ended: true},
		"a circle":             {read: proc(map[int]int{1000012: 1000011, 1000011: 1000012}, never), ended: true},
	} {
		if looks = 0; descends(1000012, tt.ended, tt.read) != tt.want {
			t.Errorf("%s: heard %v, want %v", name, !tt.want, tt.want)
		}
	}
	moved := map[int]int{1000012: 1000011}
	if !descends(1000012, false, func(pid int) (procfs.Stat, error) {
		if pid == 1000011 { // it has ended, and its child falls to this process
			moved[1000012] = self
			return procfs.Stat{}, os.ErrNotExist
		}
		return procfs.Stat{PID: pid, PPID: moved[pid]}, nil
	}) {
		t.Error("whose parent has ended meanwhile isn't heard")
	}
}
