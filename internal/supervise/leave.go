package supervise

import (
	"context"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
)

// Leave ends the supervisor and stops nothing: when its process has ended, too, each
// tree is in its grace, in which the next supervisor takes it over. What is just being
// started or stopped is waited for. Another version of foster up asks for it.
func (s *Supervisor) Leave(ctx context.Context) error {
	if err := s.ask(func() {
		if !s.resigned && !s.ending {
			s.resigned = true
			s.event(nil, "supervisor", "leaves the applications to the next supervisor")
		}
	}); err != nil {
		return err
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Left says, when Run has returned, whether the applications were left running.
func (s *Supervisor) Left() bool { return s.resigned && !s.ending }

// busy says whether something is being started or stopped, or the hook after its end is
// under way.
func (s *Supervisor) busy() bool {
	for _, i := range s.instances() {
		if i.m.State == client.Starting || i.m.State == client.Stopping || i.over != nil {
			return true
		}
	}
	return false
}

// Hurry ends the supervisor as Down does, but waits for nothing: hooks that run are ended,
// and each tree gets its stop signal at once, in no order.
func (s *Supervisor) Hurry() { s.endAll("asked to stop without delay", func(*foster.Tree) {}) }

// Kill is Hurry with SIGKILL.
func (s *Supervisor) Kill() { s.endAll("asked to stop at once", kill) }

func (s *Supervisor) endAll(cause string, then func(*foster.Tree)) {
	s.hurry()          // also where the loop isn't there yet: it may take over, or recover, for long
	_ = s.ask(func() { // where it has ended, there is nobody to end
		s.end()
		for _, i := range s.instances() {
			s.step(i, Stop, cause, outcome{})
			if tree := i.tree; tree != nil {
				s.helpers.Go(func() { then(tree) })
			}
		}
	})
}

func kill(tree *foster.Tree) {
	_, _ = tree.StopWith(context.Background(), foster.KillAtOnce()) // follow tells how it ended
}
