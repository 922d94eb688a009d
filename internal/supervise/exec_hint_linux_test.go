package supervise

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Who can write the folder of a program may replace it while it is looked at.
func TestAProgramThatBecomesAFIFOHoldsUpNoHint(t *testing.T) {
	dir := t.TempDir()
	path, fifo := filepath.Join(dir, "app"), filepath.Join(dir, "fifo")
	if err := errors.Join(syscall.Mkfifo(fifo, 0o700), os.WriteFile(path, []byte("#!/nowhere\n"), 0o700)); err != nil {
		t.Fatal(err)
	}
	over := make(chan struct{})
	var swapping sync.WaitGroup
	swapping.Go(func() {
		for {
			select {
			case <-over:
				return
			default:
				_ = unix.Renameat2(unix.AT_FDCWD, path, unix.AT_FDCWD, fifo, unix.RENAME_EXCHANGE) // each has the other's name
			}
		}
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 5000 {
			ExecHint(path, dir)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Error("it waits for who would write to the FIFO")
		f, err := os.OpenFile(fifo, os.O_RDWR, 0)
		if err == nil {
			defer f.Close()
		}
	}
	close(over)
	swapping.Wait()
}
