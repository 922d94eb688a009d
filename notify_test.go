package foster_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about what a program tells of itself, by sd_notify(3).

func TestAWatchdogThatIsNoLongerCalledIsAnOrderlyStop(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Watchdog = 2 * time.Second }, "calls", "9")
		out.next("called 9") // for longer than one time of the watchdog
		exit, err := tree.Wait()
		if exit.Cause != foster.CauseWatchdog || !errors.Is(err, foster.ErrWatchdog) || exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("exit %+v, %v; want a stop due to the watchdog", exit, err)
		}
		if got := kinds(tree); !inOrder(got, foster.EventWatchdog, foster.EventStopping, foster.EventTreeEmpty) {
			t.Errorf("events %v", got)
		}
	})
}

func TestAProgramTriggersItsWatchdog(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		for _, args := range [][]string{
			{"tells", "WATCHDOG=trigger"},
			{"tells", "WATCHDOG_USEC=100000,WATCHDOG=1"}, // a shorter time, of which it then makes nothing
		} {
			tree, _ := begin(t, c, func(cmd *foster.Cmd) { cmd.Watchdog = time.Hour }, args...)
			if exit, err := tree.Wait(); exit.Cause != foster.CauseWatchdog || !errors.Is(err, foster.ErrWatchdog) {
				t.Errorf("%v: exit %+v, %v; want a stop due to the watchdog", args, exit, err)
			}
		}
	})
}

func TestWhatAProgramTellsOfItselfIsAnEvent(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Notify = true }, "tells",
			"nonsense,=,READY=2,MAINPID=-1,MAINPID=x,EXTEND_TIMEOUT_USEC=-1",
			strings.Repeat("STATUS=long,", 1000),
			"STATUS="+strings.Repeat("x", 2000),
			"READY=1,STATUS=up and running,MAINPID=123,UNKNOWN=1")
		out.pid("told")
		var last foster.Event
		leaktest.Eventually(t, "it is ready", func() bool {
			last = waitFor(t, tree, foster.EventNotified)
			for e := range tree.Events(canceled()) {
				if e.Kind == foster.EventNotified {
					last = e
				}
			}
			return last.Ready
		})
		if last.Text != "up and running" || last.PID != 123 {
			t.Errorf("it told %+v", last)
		}
		if first := waitFor(t, tree, foster.EventNotified); len(first.Text) > 256 || strings.Trim(first.Text, "x") != "" || first.Ready {
			t.Errorf("the first that was understood is %+v; want a status that was cut", first)
		}
		stop(t, tree)
	})
}

func TestAStrangerIsNotHeard(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		var later io.WriteCloser
		tree, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Notify = true
			var err error
			if later, err = cmd.StdinPipe(); err != nil {
				t.Fatal(err)
			}
		}, "tells", "later", "STATUS=own")
		socket := out.next("at ")
		name, argv := role("stranger", socket)
		other := exec.Command(name, argv...)
		said := newLines(t)
		other.Stdout, other.Stderr = said.w, os.Stderr
		if err := other.Start(); err != nil {
			t.Fatal(err)
		}
		said.started()
		if got := said.next("sent "); got != "<nil>" {
			t.Errorf("the stranger couldn't send: %s", got)
		}
		// One datagram is read after the other: what a member sends now is read after the
		// stranger's, who lives till then.
		later.Close()
		if e := waitFor(t, tree, foster.EventNotified); e.Text != "own" || e.Ready {
			t.Errorf("heard %+v, want the member alone", e)
		}
		stop(t, tree)
		killed(t, other)
	})
}

// TestAnExistingClientIsHeard runs Debian's systemd-notify in the tree.
func TestAnExistingClientIsHeard(t *testing.T) {
	client, err := exec.LookPath("systemd-notify")
	leaktest.Need(t, "systemd-notify", err)
	in(t, all, func(t *testing.T, c foster.Containment) {
		users := []*syscall.Credential{nil}
		if os.Getuid() == 0 {
			users = append(users, &syscall.Credential{Uid: 65534, Gid: 65534})
		}
		for _, user := range users {
			cmd := foster.Command("sh", "-c",
				client+` --ready --status="serving all" && echo ran && exec sleep 1000`)
			cmd.Containment, cmd.Notify, cmd.Credential = c, true, user
			cmd.Stderr = os.Stderr
			tree, out := read(t, cmd, nil)
			e := waitFor(t, tree, foster.EventNotified)
			if !e.Ready || e.Text != "serving all" {
				t.Errorf("as %v: heard %+v", user, e)
			}
			out.next("ran") // it waits until it was heard (BARRIER=1)
			stop(t, tree)
		}
	})
}
