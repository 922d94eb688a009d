package supervise

import (
	"context"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/procfs"
)

// A shim that doesn't answer, since it was stopped or hangs in the kernel, holds up what is
// asked of its own tree, and nothing else.
func TestAShimThatHangsHoldsUpNoOther(t *testing.T) {
	hung, other := script("hung", "exec sleep 1000"), script("other", "exec sleep 1000")
	hung.Containment, hung.Lease = foster.Subreaper, foster.Lease{Time: time.Hour}
	s, _ := running(t, &config.Project{Name: "test", Apps: []config.App{hung, other}}, Options{})
	before := awaitState(t, s, "other", client.Running)
	leader, err := procfs.Read(awaitState(t, s, "hung", client.Running).PID)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(leader.PPID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	goOn := func() { _ = syscall.Kill(leader.PPID, syscall.SIGCONT) }
	defer goOn()
	signalled := make(chan error, 1)
	go func() {
		signalled <- s.Signal([]client.Target{{App: "hung"}}, syscall.SIGCONT, foster.ScopeLeader)
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second) // less than the other waits for its answer
	defer cancel()
	if err := s.Restart(ctx, []client.Target{{App: "other"}}); err != nil {
		t.Errorf("the other: %v", err)
	}
	if now := instanceOf(t, s, "other"); now.PID == before.PID || now.State != client.Running {
		t.Errorf("it wasn't restarted: %+v", now)
	}
	if now := instanceOf(t, s, "hung"); now.State != client.Running || now.LeaseLeft != nil || now.Members == 0 {
		t.Errorf("of the one that hangs: %+v", now)
	}
	shim := fmt.Sprintf("pid %d", leader.PPID)
	if err := <-signalled; err == nil || !strings.Contains(err.Error(), shim) {
		t.Errorf("the shim that was stopped, %s, has answered: %v", shim, err)
	}
	goOn()
	if err := s.Signal([]client.Target{{App: "hung"}}, syscall.SIGCONT, foster.ScopeLeader); err != nil {
		t.Errorf("a shim that goes on: %v", err)
	}
}

// A start that waits for its turn can be cut short, and one that hangs gives its turn away.
func TestStartsThatHangDontKeepTheirTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slots := make(chan struct{}, 1)
		first, err := takeSlot(t.Context(), slots)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), slowStart/2)
		defer cancel()
		if _, err := takeSlot(ctx, slots); err == nil {
			t.Error("two have the only turn")
		}
		second, err := takeSlot(t.Context(), slots) // when the first has become slow
		if err != nil {
			t.Fatal(err)
		}
		first()
		if len(slots) != 1 {
			t.Error("the slow one has given back the turn of another")
		}
		second()
		if len(slots) != 0 {
			t.Error("a turn was kept")
		}
	})
}
