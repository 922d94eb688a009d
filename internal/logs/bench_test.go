package logs

import (
	"bytes"
	"io"
	"testing"

	"github.com/foster-init/foster/internal/sys"
)

// benchLine is 100 bytes, as in all comparisons of loggers.
var benchLine = append(bytes.Repeat([]byte("x"), 99), '\n')

// benchPolicy has files of 10 MB, of which 5 are kept.
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
