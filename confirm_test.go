package foster_test

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
)

// Who was told of an end, and is gone before it has confirmed that, is followed by one who
// is told again, and reads the rest.
func TestAnEndThatWasNotConfirmedIsToldToTheNextOwner(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		const count = 5_000
		part := filepath.Join(t.TempDir(), "part")
		cmd, out, _ := keep(t, c, "grace=1m,confirm,pipes="+part, "count", "5000", "7")
		out.next("has read ")
		out.next("kept to its end")
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		tree := attach(t, foster.WithPipes(), foster.WithConfirmEnd())
		exit, err := tree.Wait()
		if exit.Leader.Code != 7 {
			t.Errorf("%+v, %v", exit, err)
		}
		stdout, stderr := tree.Pipes()
		stderr.Close()
		if got := readAll(t, stdout); got != counted(count)[partRead:] {
			t.Errorf("%d bytes, or others", len(got))
		}
		tree.ConfirmEnd()
		tree.ConfirmEnd() // does nothing
		if _, err := foster.Attach(context.Background(), "kept"); !errors.Is(err, foster.ErrUnknown) {
			t.Errorf("after that: %v", err)
		}
	})
}

// The context of the one before is none of the next owner's.
func TestTheNextOwnerIsToldThatTheOneBeforeCanceled(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		cmd, out, _ := keep(t, c, "grace=1m,confirm,cancel", "block")
		out.next("kept to its end: cause canceled")
		if err := cmd.Wait(); err != nil {
			t.Fatal(err)
		}
		tree := attach(t, foster.WithConfirmEnd())
		exit, err := tree.Wait()
		if exit.Cause != foster.CauseCanceled || exit.Leader.Signal != syscall.SIGTERM {
			t.Errorf("%+v, %v", exit, err)
		}
		if _, ok := errors.AsType[*foster.ExitError](err); !ok {
			t.Errorf("got %v", err)
		}
		tree.ConfirmEnd()
	})
}

// When the end is confirmed, the name is free, and the next of that name isn't harmed by
// the shim of the one before.
func TestAConfirmedEndLeavesTheName(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		for range 5 {
			cmd := foster.Command("true")
			cmd.ID, cmd.Grace, cmd.Containment, cmd.ConfirmEnd = "kept", time.Minute, c, true
			tree, err := cmd.Start()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tree.Wait(); err != nil {
				t.Error(err)
			}
			if _, err := foster.Attach(context.Background(), "kept"); !errors.Is(err, foster.ErrOwned) {
				t.Errorf("claimed from who has yet to confirm: %v", err)
			}
			tree.ConfirmEnd()
		}
	})
}

// ConfirmEnd is nothing where nobody asked for it.
func TestWithoutConfirmEndAnEndIsKnownByWait(t *testing.T) {
	in(t, all[:1], func(t *testing.T, c foster.Containment) {
		cmd := foster.Command("true")
		cmd.Containment = c
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		tree.ConfirmEnd() // waits for the end as well
		if _, err := tree.Wait(); err != nil {
			t.Error(err)
		}
	})
}
