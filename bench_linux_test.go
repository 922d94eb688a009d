package foster_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/leaktest"
)

// crowd is a shell that starts so many processes, each in a session of its own.
const crowd = `i=0; while [ $i -lt 1000 ]; do setsid sleep 1000 & i=$((i+1)); done; wait`

// BenchmarkStopThousand measures the end of a tree of a thousand sessions, from the request
// to the proof that it's empty, in turn with what the kernel alone needs for that:
// cgroup.kill until the cgroup is empty ("x-kill").
func BenchmarkStopThousand(b *testing.B) {
	leaktest.Need(b, "cgroup", canHave(foster.Cgroup))
	for _, c := range holdsAll {
		b.Run("foster-"+string(c), func(b *testing.B) {
			leaktest.Need(b, "containment "+string(c), canHave(c))
			var base, own time.Duration
			for b.Loop() {
				base += killCrowd(b)
				own += stopCrowd(b, c)
			}
			b.ReportMetric(float64(own)/float64(base), "x-kill")
			b.ReportMetric(0, "ns/op") // the start is in it
		})
	}
}

// crowded waits until the crowd is complete.
func crowded(b *testing.B, count func() int) {
	b.Helper()
	leaktest.Eventually(b, "all are there", func() bool { return count() > 1000 })
}

// stopCrowd is how long foster takes.
func stopCrowd(b *testing.B, c foster.Containment) time.Duration {
	b.Helper()
	cmd := foster.Command("sh", "-c", crowd)
	cmd.Containment = c
	tree, err := cmd.Start()
	if err != nil {
		b.Fatal(err)
	}
	crowded(b, func() int {
		members, err := tree.Members()
		if err != nil {
			b.Fatal(err)
		}
		return len(members)
	})
	t0 := time.Now()
	if _, err := tree.StopWith(b.Context(), foster.KillAtOnce()); err != nil {
		b.Fatal(err)
	}
	return time.Since(t0)
}

// killCrowd is how long the kernel takes.
func killCrowd(b *testing.B) time.Duration {
	b.Helper()
	c, err := contain.NewCgroup("foster-bench")
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", crowd)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(c.Dir.Fd())}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	crowded(b, func() int {
		procs, err := os.ReadFile(c.Path + "/cgroup.procs")
		if err != nil {
			b.Fatal(err)
		}
		return bytes.Count(procs, []byte("\n"))
	})
	t0 := time.Now()
	if err := errors.Join(c.Kill(), c.AwaitEmpty()); err != nil {
		b.Fatal(err)
	}
	took := time.Since(t0)
	_ = cmd.Wait() // killed
	if err := c.Remove(); err != nil {
		b.Fatal(err)
	}
	leaktest.ReapOrphans(b)
	return took
}
