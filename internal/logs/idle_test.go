package logs

import (
	"fmt"
	"os"
	"runtime"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
)

// A quiet application holds its two pipes, and no buffer, no timer and no other file.
func TestAQuietApplicationCostsLittle(t *testing.T) {
	leaktest.Check(t)
	const apps = 300
	s := NewStore(t.TempDir(), func(_ string, err error) { t.Error(err) })
	before, files := inUse(), openFiles(t)
	var ends []*os.File
	var captures []*Capture
	for n := range apps {
		l := s.Log(fmt.Sprint("app", n), 1)
		for stream := range Stream(2) {
			r, w, err := sys.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			ends = append(ends, w)
			if _, err := w.WriteString("ready\n"); err != nil { // it isn't quiet from the start
				t.Fatal(err)
			}
			c, err := l.Capture(stream, r, true, nil)
			if err != nil {
				t.Fatal(err)
			}
			captures = append(captures, c)
		}
	}
	leaktest.Eventually(t, "each has only its pipes open", func() bool { return openFiles(t) <= files+4*apps })
	s.freeBuffers()
	each := (inUse() - before) / apps
	t.Logf("%d bytes each, the ends of the pipes that the test holds among them", each)
	if each > 12_000 && !raceDetector {
		t.Errorf("%d bytes each", each)
	}
	for _, w := range ends {
		w.Close()
	}
	for _, c := range captures {
		<-c.Done()
	}
}

func inUse() uint64 {
	var m runtime.MemStats
	for range 3 { // stacks shrink with a collection
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	leaktest.Need(t, "/proc", err)
	return len(entries)
}
