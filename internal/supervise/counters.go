package supervise

import (
	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
)

// totals is what the metrics have of an instance.
type totals struct {
	starts                  uint64
	exits                   map[string]uint64
	adopted, reaped, killed uint64
}

// notStarted is the cause by which starts that have failed are counted.
const notStarted = "not-started"

func (t *totals) ended(e *client.Exit) {
	if t.exits == nil {
		t.exits = map[string]uint64{}
	}
	cause := notStarted
	switch foster.Cause(e.Cause) {
	case foster.CauseEnded, foster.CauseStopped, foster.CauseCanceled, foster.CauseLeaderEnded, foster.CauseLeaderLost, foster.CauseLeaderLostFail,
		foster.CauseReleased, foster.CauseShimLost, foster.CauseExpired, foster.CauseWatchdog, foster.CauseOwnerGone:
		cause = e.Cause
	}
	t.exits[cause]++
	t.adopted += uint64(e.Adopted)
	t.reaped += uint64(e.Reaped)
	t.killed += uint64(e.Killed)
}

// Counters is what the metrics have beside the status.
func (s *Supervisor) Counters() (c api.Counters) {
	var of []living
	_ = s.ask(func() { // at the end, there are none
		for _, i := range s.instances() {
			c.Instances = append(c.Instances, s.count(i))
			of = append(of, living{i.tree, &i.counted})
		}
	})
	s.countLiving(c.Instances, of)
	return c
}

func (s *Supervisor) count(i *instance) api.InstanceCounters {
	written := s.logs.Log(i.app.spec.Name, i.replica).Counters()
	n := api.InstanceCounters{
		App: i.app.spec.Name, Replica: i.replica, Starts: i.totals.starts, Restarts: uint64(i.restarts), Exits: map[string]uint64{},
		Adopted: i.totals.adopted, Reaped: i.totals.reaped, Killed: i.totals.killed,
		LogBytes: uint64(written.Bytes), LogLines: uint64(written.Lines), LogLost: written.Dropped, Probes: i.probeCounters(),
	}
	for cause, times := range i.totals.exits {
		n.Exits[cause] = times
	}
	return n
}

// reaping is how many processes the metrics have told of that were reaped in the trees of an
// instance. It doesn't fall where a tree is counted by nobody, since it ended when its shim
// was asked.
type reaping struct{ reaped, adopted uint64 }

// living is a tree that is to be counted, and what was told before; nil: there is none.
type living struct {
	tree *foster.Tree
	told *reaping
}

// countLiving adds what the shims of the trees that live have counted until now.
func (s *Supervisor) countLiving(list []api.InstanceCounters, of []living) {
	var trees []*foster.Tree
	for _, l := range of {
		if l.tree != nil {
			trees = append(trees, l.tree)
		}
	}
	now := askShims(trees, func(t *foster.Tree) (reaping, error) {
		reaped, adopted, err := t.Reaped()
		return reaping{uint64(reaped), uint64(adopted)}, err
	})
	s.metering.Lock()
	defer s.metering.Unlock()
	for n, l := range of {
		c := &list[n]
		c.Reaped = max(c.Reaped+now[l.tree].reaped, l.told.reaped)
		c.Adopted = max(c.Adopted+now[l.tree].adopted, l.told.adopted)
		*l.told = reaping{c.Reaped, c.Adopted}
	}
}
