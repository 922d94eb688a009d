package logs

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// benchLine is 100 bytes, as in all comparisons of loggers.
var benchLine = append(bytes.Repeat([]byte("x"), 99), '\n')

// benchPolicy is what s6-log is run with, too: files of 10 MB, of which 5 are kept.
var benchPolicy = Policy{MaxSize: 10_000_000, MaxFiles: 5}

// BenchmarkCapture is the way of a line from an application's pipe to the file. The
// writer's own work is in it, on another processor where there is one.
func BenchmarkCapture(b *testing.B) {
	for name, p := range map[string]Policy{
		"plain":    benchPolicy,
		"json":     {JSON: true, MaxSize: benchPolicy.MaxSize, MaxFiles: 5},
		"compress": {Compress: true, MaxSize: benchPolicy.MaxSize, MaxFiles: 5},
	} {
		b.Run(name, func(b *testing.B) {
			s := NewStore(b.TempDir(), func(_ string, err error) { b.Error(err) })
			s.Begin()
			defer s.Close()
			l := s.Log("web", 1)
			l.SetPolicy(p)
			r, w, err := sys.Pipe()
			if err != nil {
				b.Fatal(err)
			}
			sys.GrowPipe(r, 1<<20)
			c, err := l.Capture(Stdout, r, true, nil)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(benchLine)))
			b.ResetTimer()
			writeLines(b, w, b.N)
			<-c.Done()
			if n := l.Counters().Lines; n != uint64(b.N) {
				b.Errorf("%d lines of %d", n, b.N)
			}
		})
	}
}

// writeLines writes lines of 100 bytes, many at once, and closes the pipe.
func writeLines(b *testing.B, w io.WriteCloser, n int) {
	const many = 640
	block := bytes.Repeat(benchLine, many)
	for ; n > 0; n -= many {
		if _, err := w.Write(block[:min(n, many)*len(benchLine)]); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkBesideS6Log runs s6-log with time stamps and this package in turn, each in a
// process of its own, on the same lines, and gives what this package does in terms of
// what s6-log does.
func BenchmarkBesideS6Log(b *testing.B) {
	s6, err := exec.LookPath("s6-log")
	leaktest.Need(b, "s6-log", err)
	exe, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	var ownTime, s6Time, ownCPU, s6CPU time.Duration
	const lines = 3_000_000
	for range b.N {
		dir := b.TempDir()
		cmd := exec.Command(s6, "T", "n5", "s10000000", filepath.Join(dir, "s6"))
		wall, cpu := consume(b, cmd, lines)
		s6Time, s6CPU = s6Time+wall, s6CPU+cpu
		cmd = exec.Command(exe)
		cmd.Env = append(os.Environ(), benchVariable+"="+filepath.Join(dir, "own"))
		wall, cpu = consume(b, cmd, lines)
		ownTime, ownCPU = ownTime+wall, ownCPU+cpu
		if err := os.RemoveAll(dir); err != nil {
			b.Fatal(err)
		}
	}
	bytes := float64(b.N) * lines * float64(len(benchLine))
	b.ReportMetric(float64(s6Time)/float64(ownTime), "times-the-throughput")
	b.ReportMetric(float64(s6CPU)/float64(ownCPU), "times-less-CPU")
	b.ReportMetric(bytes/1e6/ownTime.Seconds(), "own-MB/s")
	b.ReportMetric(bytes/1e6/s6Time.Seconds(), "s6-MB/s")
	b.ReportMetric(ownCPU.Seconds()/bytes*1e9, "own-s/GB")
	b.ReportMetric(s6CPU.Seconds()/bytes*1e9, "s6-s/GB")
	b.ReportMetric(0, "ns/op")
}

// consume has a program read lines from its standard input, and says how long it took,
// and what time of a processor.
func consume(b *testing.B, cmd *exec.Cmd, lines int) (wall, cpu time.Duration) {
	b.Helper()
	r, w, err := sys.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	sys.GrowPipe(r, 1<<20)
	cmd.Stdin, cmd.Stderr = r, os.Stderr
	begin := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	r.Close()
	writeLines(b, w, lines)
	if err := cmd.Wait(); err != nil {
		b.Fatal(err)
	}
	return time.Since(begin), cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
}

// benchVariable turns the test binary into a program that writes its standard input to a
// log.
const benchVariable = "FOSTER_TEST_LOG_STDIN"

func captureStdin(dir string) error {
	if err := syscall.SetNonblock(0, true); err != nil {
		return err
	}
	s := NewStore(dir, nil)
	s.Begin()
	defer s.Close()
	l := s.Log("web", 1)
	l.SetPolicy(benchPolicy)
	c, err := l.Capture(Stdout, os.NewFile(0, "pipe"), true, nil)
	if err == nil {
		<-c.Done()
	}
	return err
}
