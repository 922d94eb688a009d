package foster_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/wire"
	"github.com/foster-init/foster/proc"
)

func init() { roles["flood"] = roleFlood }

// roleFlood writes to a notify socket as fast as it can, by another user's right if it may
// become one.
func roleFlood(args []string) {
	if len(args) > 1 && args[1] == "other" {
		if err := syscall.Setuid(65534); err != nil {
			say("error %v", err)
		}
	}
	for range 4 {
		go func() {
			conn, err := net.Dial("unixgram", args[0])
			if err != nil {
				say("error %v", err)
				return
			}
			text := []byte("STATUS=" + strings.Repeat("forged", 500))
			for err == nil {
				_, err = conn.Write(text)
			}
		}()
	}
	say("floods %d", os.Getpid())
	forever()
}

// cpu is the processor time that a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	p, err := proc.Read(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	return p.User + p.System
}

// TestFloodOfStrangersIsBounded: it costs the shim little, and the tree is heard meanwhile.
func TestFloodOfStrangersIsBounded(t *testing.T) {
	whose := []string{"own"}
	if os.Getuid() == 0 {
		whose = append(whose, "other")
	}
	for _, user := range whose {
		t.Run(user, func(t *testing.T) {
			in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
				var later io.WriteCloser
				tree, out := begin(t, c, func(cmd *foster.Cmd) {
					cmd.Notify = true
					var err error
					if later, err = cmd.StdinPipe(); err != nil {
						t.Fatal(err)
					}
				}, "tells", "later", "STATUS=own")
				socket := out.next("at ")
				name, argv := role("flood", socket, user)
				other := exec.Command(name, argv...)
				said := newLines(t)
				other.Stdout, other.Stderr = said.w, os.Stderr
				if err := other.Start(); err != nil {
					t.Fatal(err)
				}
				said.started()
				said.pid("floods")
				shim := shimOf(t, tree)
				before, began := cpu(t, shim), time.Now()
				leaktest.Eventually(t, "the flood has lasted", func() bool { return time.Since(began) > 2*time.Second })
				used, lasted := cpu(t, shim)-before, time.Since(began)
				t.Logf("%v of processor time in %v", used, lasted)
				if used > lasted/4 { // without a bound, it is more than half
					t.Errorf("the flood has cost the shim %v of processor time in %v", used, lasted)
				}
				later.Close()
				if e := waitFor(t, tree, foster.EventNotified); e.Text != "own" {
					t.Errorf("heard %+v, want the member alone", e)
				}
				stop(t, tree)
				killed(t, other)
			})
		})
	}
}

// Descriptors that come with what is said to a shim, and that nobody has asked for, are closed:
// they can't use up the files that it may open.
func TestDescriptorsThatNobodyAskedForAreClosed(t *testing.T) {
	in(t, []foster.Containment{foster.Subreaper, foster.Cgroup}, func(t *testing.T, c foster.Containment) {
		var later io.WriteCloser
		tree, out := begin(t, c, func(cmd *foster.Cmd) {
			cmd.Notify = true
			var err error
			if later, err = cmd.StdinPipe(); err != nil {
				t.Fatal(err)
			}
		}, "tells", "later", "STATUS=own")
		socket := out.next("at ")
		files := fmt.Sprintf("/proc/%d/fd", shimOf(t, tree))
		open := func() int {
			list, err := os.ReadDir(files)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		before := open()
		null, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer null.Close()
		rights := func(n int) []byte { return syscall.UnixRights(slices.Repeat([]int{int(null.Fd())}, n)...) }

		// In datagrams, by a stranger.
		sender, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer sender.Close()
		for range 50 {
			if _, _, err := sender.WriteMsgUnix([]byte("FDSTORE=1\nSTATUS=forged"), rights(200), &net.UnixAddr{Name: socket, Net: "unixgram"}); err != nil {
				t.Fatal(err)
			}
		}
		// In requests, by guests that stay as long as they may.
		inspect, err := wire.Frames(&wire.Inspect{ID: 1})
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range []int{1, 5, 200} {
			guest, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socketOf(t, tree.ID())})
			if err != nil {
				t.Fatal(err)
			}
			defer guest.Close()
			for range 50 {
				if _, _, err := guest.WriteMsgUnix(inspect, rights(each), nil); err != nil {
					break // it was sent away
				}
			}
			leaktest.Eventually(t, "who sends too many is sent away", func() bool {
				_, err := guest.Write(inspect)
				return err != nil
			})
		}
		later.Close()
		if e := waitFor(t, tree, foster.EventNotified); e.Text != "own" { // all datagrams before are read
			t.Errorf("heard %+v, want the member alone", e)
		}
		leaktest.Eventually(t, "the shim has no more files open than before", func() bool { return open() <= before })
		stop(t, tree)
	})
}
