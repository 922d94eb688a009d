package foster_test

import (
	"context"
	"errors"
	"io"
	"reflect"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// A Tree is used by many goroutines at once, and a Cmd is copied, cancelled before it is
// started, and started twice.

func TestManyCallersOfOneTreeAgreeOnItsEnd(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		tree, out := begin(t, c, func(cmd *foster.Cmd) { cmd.Stop.Timeout = 50 * time.Millisecond }, "stubborn", "within")
		out.pid("stubborn")
		out.pid("stubborn")
		var callers sync.WaitGroup
		ends := make(chan foster.Exit, 100)
		for n := range 100 {
			callers.Go(func() {
				var exit foster.Exit
				var err error
				switch n % 5 {
				case 0, 1:
					exit, err = tree.Wait()
				case 2:
					exit, err = tree.Stop(context.Background())
				case 3:
					if err = tree.Signal(syscall.SIGHUP, foster.ScopeTree); errors.Is(err, foster.ErrEnded) {
						err = nil
					}
				case 4:
					for range tree.Events(context.Background()) {
					}
					_, err = tree.Members()
					if errors.Is(err, foster.ErrEnded) {
						err = nil
					}
				}
				if _, killed := errors.AsType[*foster.ExitError](err); err != nil && (n%5 >= 3 || !killed) {
					t.Errorf("caller %d: %v", n, err)
				}
				if n%5 < 3 {
					ends <- exit
				}
			})
		}
		callers.Wait()
		close(ends)
		first := <-ends
		if first.Leader.Signal != syscall.SIGKILL || first.Cause != foster.CauseStopped {
			t.Errorf("it has ended by %v, %v", first.Leader, first.Cause)
		}
		for exit := range ends {
			if !reflect.DeepEqual(exit, first) {
				t.Errorf("got %+v, and %+v", exit, first)
			}
		}
	})
}

func TestACopiedCmdIsACommandOfItsOwn(t *testing.T) {
	leaktest.Check(t)
	first := foster.Command("sh", "-c", "exit 3")
	second := *first
	for _, cmd := range []*foster.Cmd{first, &second} {
		if err := cmd.Run(); err == nil || err.Error() != "exit status 3" {
			t.Errorf("got %v", err)
		}
		if _, err := cmd.Start(); !errors.Is(err, foster.ErrStarted) {
			t.Errorf("again: %v", err)
		}
	}
	third := *first // which was started
	if _, err := third.Start(); !errors.Is(err, foster.ErrStarted) {
		t.Errorf("a copy of one that was started: %v", err)
	}
}

func TestACopiedCmdWithAPipeDoesNotStartTwice(t *testing.T) {
	leaktest.Check(t)
	first := foster.Command("echo", "once")
	out, err := first.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	second := *first
	tree, err := first.Start()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(out); string(text) != "once\n" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
	if _, err := tree.Wait(); err != nil {
		t.Error(err)
	}
	if tree, err := second.Start(); err == nil {
		_, _ = tree.Wait()
		t.Error("the copy has started, with the descriptors of the first")
	}
}

func TestAContextThatIsOverStartsNothing(t *testing.T) {
	leaktest.Check(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	cmd := foster.CommandContext(ctx, "sh", "-c", "touch "+t.TempDir()+"/started")
	if _, err := cmd.Start(); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := cmd.Start(); !errors.Is(err, foster.ErrStarted) {
		t.Errorf("again: %v", err)
	}
}
