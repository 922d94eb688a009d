package foster_test

import (
	"os/exec"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The benchmarks run /bin/true from start to exit. Read them as ratios: each one
// starts os/exec in turn with what it measures, and reports how many times as long
// that took ("x-exec").
//
//	go test -run '^$' -bench . -benchtime 200x .

func program(b *testing.B, name string) string {
	b.Helper()
	path, err := exec.LookPath(name)
	leaktest.Need(b, name, err)
	return path
}

// against measures run, in turn with os/exec.
func against(b *testing.B, run func() error) {
	b.Helper()
	truth := program(b, "true")
	var base, own time.Duration
	for b.Loop() {
		t0 := time.Now()
		if err := exec.Command(truth).Run(); err != nil {
			b.Fatal(err)
		}
		t1 := time.Now()
		if err := run(); err != nil {
			b.Fatal(err)
		}
		base += t1.Sub(t0)
		own += time.Since(t1)
	}
	b.ReportMetric(float64(own)/float64(base), "x-exec")
	b.ReportMetric(0, "ns/op") // of the two together: it says nothing
}

func BenchmarkTrue(b *testing.B) {
	truth := program(b, "true")
	for _, c := range all {
		b.Run("foster-"+string(c), func(b *testing.B) {
			leaktest.Need(b, "containment "+string(c), canHave(c))
			against(b, func() error {
				cmd := foster.Command(truth)
				cmd.Containment = c
				return cmd.Run()
			})
		})
	}
	for _, c := range []foster.Containment{foster.Subreaper, foster.Cgroup} {
		b.Run("foster-ready-"+string(c), func(b *testing.B) {
			leaktest.Need(b, "containment "+string(c), canHave(c))
			keepReady(b, 1)
			against(b, func() error {
				cmd := foster.Command(truth)
				cmd.Containment = c
				return cmd.Run()
			})
		})
	}
	b.Run("foster-shared-cgroup", func(b *testing.B) {
		leaktest.Need(b, "containment "+string(foster.Cgroup), canHave(foster.Cgroup))
		share(b)
		against(b, func() error {
			cmd := foster.Command(truth)
			cmd.Containment = foster.Cgroup
			return cmd.Run()
		})
	})
	for _, init := range []string{"tini", "dumb-init"} {
		b.Run(init, func(b *testing.B) {
			path := program(b, init)
			args := []string{"--", truth}
			if init == "tini" {
				args = append([]string{"-s"}, args...)
			}
			against(b, func() error { return exec.Command(path, args...).Run() })
		})
	}
}

// BenchmarkStop measures a stop of a tree that has left its group and session, in
// each containment that holds it, from the request to the proof that it's empty.
func BenchmarkStop(b *testing.B) {
	for _, c := range holdsAll {
		b.Run("foster-"+string(c), func(b *testing.B) {
			leaktest.Need(b, "containment "+string(c), canHave(c))
			var stopping time.Duration
			for b.Loop() {
				cmd := foster.Command("sh", "-c", "setsid sleep 1000 & setsid sleep 1000 & wait")
				cmd.Containment = c
				tree, err := cmd.Start()
				if err != nil {
					b.Fatal(err)
				}
				t0 := time.Now()
				if _, err := tree.StopWith(b.Context(), foster.KillAtOnce()); err != nil {
					b.Fatal(err)
				}
				stopping += time.Since(t0)
			}
			b.ReportMetric(float64(stopping.Microseconds())/float64(b.N), "µs/stop")
			b.ReportMetric(0, "ns/op") // the start is in it
		})
	}
}
