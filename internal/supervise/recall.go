package supervise

import (
	"reflect"
	"slices"
	"time"

	"github.com/foster-init/foster/client"
)

// tries is how often an instance was started again: it goes on counting in the next life,
// where this one is killed.
type tries struct {
	Restarts int         `json:"restarts,omitempty"`
	InARow   int         `json:"in_a_row,omitempty"`
	Times    []time.Time `json:"times,omitempty"` // as in attempts
}

// noteTries keeps how often an instance was started again, with those restarts that are
// decided and haven't begun.
func (s *Supervisor) noteTries(i *instance, decided int) {
	s.memory.tried(i.treeID, tries{i.restarts + decided, i.attempts.inARow, i.attempts.times})
}

func (m *memory) tried(id string, t tries) {
	if reflect.DeepEqual(m.Tries[id], t) {
		return
	}
	if m.Tries == nil {
		m.Tries = map[string]tries{}
	}
	m.Tries[id] = t
	m.save()
}

// recallTries has the instances go on counting their restarts.
func (s *Supervisor) recallTries() {
	for _, i := range s.instances() {
		t := s.memory.Tries[i.treeID]
		i.restarts, i.attempts = t.Restarts, attempts{inARow: t.InARow, times: t.Times}
	}
}

// recallExits has the instances know how their last run ended in a life before. Where nothing
// of that goes on, they begin anew.
func (s *Supervisor) recallExits(killed bool) {
	for _, i := range s.instances() {
		if i.exit == nil && (killed || hasTree(i.m.State) || s.memory.has(i.treeID)) {
			i.exit = s.lastExit(i)
		}
	}
}

func (s *Supervisor) lastExit(i *instance) *client.Exit {
	runs, err := s.past.store.Runs(i.app.spec.Name, i.replica, 0)
	if err != nil {
		return nil // the history tells what is wrong with it
	}
	for _, r := range slices.Backward(runs) {
		if r.Exit != nil {
			return r.Exit
		}
	}
	return nil
}
