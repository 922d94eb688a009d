package foster_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// storm writes a script that starts itself again in a new session and ends, over
// and over, for as long as a file is there: the file bounds it if all else fails.
func storm(t *testing.T, body string) (script string) {
	t.Helper()
	dir := t.TempDir()
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	fuse := filepath.Join(dir, "fuse")
	if err := os.WriteFile(fuse, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Remove(fuse) })
	time.AfterFunc(30*time.Second, func() { os.Remove(fuse) })
	script = filepath.Join(dir, "storm.sh")
	text := fmt.Sprintf("#!/bin/sh\nfuse=%s\n[ -e $fuse ] || exit\n%s\n", fuse, body)
	if err := os.WriteFile(script, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	return script
}

func TestForkStormIsEnded(t *testing.T) {
	in(t, holdsAll, func(t *testing.T, c foster.Containment) {
		script := storm(t, `setsid "$0" </dev/null >/dev/null 2>&1 &`)
		const linesOfDescent = 8
		cmd := foster.Command("/bin/sh", "-c", fmt.Sprintf(
			`for i in $(seq %d); do %s & done; echo storm $$; exec sleep 1000`, linesOfDescent, script))
		cmd.Containment = c
		cmd.Stop.Timeout = 20 * time.Millisecond
		tree, out := read(t, cmd, nil)
		out.pid("storm")
		// The storm is under way when the shim has reaped many.
		leaktest.Eventually(t, "the storm forks", func() bool {
			members, err := tree.Members()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range members {
				if strings.HasPrefix(m.Name, "storm") || m.Name == "setsid" {
					return true
				}
			}
			return false
		})
		stop(t, tree)
	})
}

func TestExponentialForkBombIsEnded(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to give the bomb a user with a limit of processes", errors.New("not root"))
	}
	in(t, all[2:], func(t *testing.T, c foster.Containment) {
		// A shell that can't fork ends, and so would the bomb: it becomes another program.
		script := storm(t, `trap 'exec sleep 100' EXIT; "$0" & "$0" & wait`)
		cmd := foster.Command(script)
		cmd.Containment = c
		cmd.Stop = foster.KillAtOnce()
		// The limit bounds what this machine has to bear; the promise doesn't need it.
		cmd.Credential = &syscall.Credential{Uid: 64123, Gid: 64123}
		cmd.Rlimits = []foster.Rlimit{{Resource: 6 /* RLIMIT_NPROC */, Soft: 1000, Hard: 1000}}
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		leaktest.Eventually(t, "the bomb goes off", func() bool {
			members, err := tree.Members()
			return err == nil && len(members) > 100
		})
		exit := stop(t, tree)
		if exit.Killed < 50 {
			t.Errorf("%d were killed, though more than 100 ran", exit.Killed)
		}
	})
}
