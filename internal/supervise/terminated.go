package supervise

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// termination sees whether this process was sent SIGTERM. It acts on nothing: who has made
// the supervisor heeds signals. But why all is stopped decides what is left for the next
// life: foster down and Ctrl-C mean the project, and SIGTERM only this process. It comes
// where a service is restarted, or the host is shut down.
type termination chan os.Signal

func awaitTermination() termination {
	seen := make(termination, 1)
	if !signal.Ignored(syscall.SIGTERM) { // else it would be heeded from now on
		signal.Notify(seen, syscall.SIGTERM)
	}
	return seen
}

// came says whether it was, and looks no more. Who acts on the signal may have been faster:
// Stop waits until all have it.
func (t termination) came() bool {
	signal.Stop(t)
	return len(t) > 0
}

// restsAtEnd gives the notes that outlive the beginning of the end of all: of what is still to
// be taken down, and at a SIGTERM those of what was stopped by hand and is to be started by hand
// only.
func (s *Supervisor) restsAtEnd() map[string]restNote {
	kept := map[string]restNote{}
	for _, i := range s.instances() {
		note := s.memory.Rests[i.treeID]
		if !i.removed && (note.Active || s.staysStopped(i, note)) {
			kept[i.treeID] = note
		}
	}
	return kept
}

// staysStopped says whether a note outlives the end: it is of what was stopped by hand, and is
// to be started by hand only.
func (s *Supervisor) staysStopped(i *instance, note restNote) bool {
	return s.terminated.came() && note.State == client.Stopped && i.spec.Restart.Policy == config.RestartUnlessStopped
}

// noteWhileEnding notes, while all is stopped for the end, how far it is with what is to be taken down:
// if this supervisor is killed meanwhile, the next one goes on with it.
func (s *Supervisor) noteWhileEnding(i *instance) {
	note := s.memory.Rests[i.treeID]
	if !note.Active {
		return
	}
	switch {
	case i.m.Active && (i.m.State != client.Stopping || note.State == client.Stopped):
		return
	case i.m.Active:
		note = restNote{State: client.Stopping, Active: true}
	case s.staysStopped(i, note):
		note.Active = false
	default:
		s.memory.rest(i.treeID, nil)
		return
	}
	s.memory.rest(i.treeID, &note)
}

// staysAtRest says whether an instance that had come to rest by a note of the life before
// stays so. Where that life wasn't killed, there are only notes of what was stopped by hand,
// and one that foster up is given by its name is started.
func (s *Supervisor) staysAtRest(i *instance, killed bool) bool {
	note, noted := s.memory.Rests[i.treeID]
	policy := i.spec.Restart.Policy
	switch {
	case !noted:
		return false
	case killed:
		return note.State != client.Stopped || policy != config.RestartAlways
	}
	return policy == config.RestartUnlessStopped && len(s.options.Only) == 0
}
