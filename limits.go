package foster

import (
	"fmt"
	"strings"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/wire"
)

// Limits are how much of the machine a whole tree may use, by its cgroup; 0 is no limit.
// They need the containment Cgroup (Auto takes no other with them), and the controllers: of version 2 where they are
// there, else of version 1, as on hosts that have both. What is limited is the sum of all
// processes of the tree, also of those that leave its group or session.
type Limits struct {
	Memory int64   // bytes; when it is reached, the kernel kills one of the tree: see Exit.OOMKills
	CPU    float64 // in cores: 0.5 is half of one
	PIDs   int64   // processes and threads; more can't be forked
	// Optional has the tree started all the same where a limit can't be had. Each is told
	// by an EventLimitUnmet.
	Optional bool
}

func (l Limits) none() bool { return l.Memory == 0 && l.CPU == 0 && l.PIDs == 0 }

// required says whether there is no start without a limit.
func (l Limits) required() bool { return !l.none() && !l.Optional }

// leastCPU is the shortest time that the kernel takes for a quota, 1 ms of each 100.
const leastCPU = 0.01

func (c *Cmd) validLimits() error {
	l := c.Limits
	switch {
	case l.Memory < 0 || l.PIDs < 0 || l.CPU < 0 || l.CPU != l.CPU:
		return fmt.Errorf("a limit is 0 or more: got %d bytes of memory, %v CPUs, %d processes", l.Memory, l.CPU, l.PIDs)
	case l.CPU > 0 && l.CPU < leastCPU || l.CPU > 1e6:
		return fmt.Errorf("a limit of CPUs is at least %v of one: got %v", leastCPU, l.CPU)
	case l.none() || l.Optional || c.Containment == Cgroup || c.Containment == Auto || c.Containment == "":
		return nil
	}
	return fmt.Errorf("limits need the containment cgroup, or auto: got %s", c.Containment)
}

// limit sets the limits of the cgroup, once there is one.
func (s *starter) limit() error {
	s.msg.Writes, s.msg.Groups, s.unmet = nil, nil, nil
	l := s.cmd.Limits
	if l.none() {
		return nil
	}
	if s.cgroup == nil {
		s.unmet = []error{fmt.Errorf("no limits: they are those of a cgroup, and the containment is %s", s.level)}
	} else {
		s.msg.Writes, s.unmet = s.cgroup.Limit(contain.Limits{Memory: l.Memory, CPU: l.CPU, PIDs: l.PIDs})
		s.msg.Groups = s.cgroup.Groups
	}
	if len(s.unmet) > 0 && !l.Optional {
		return s.fail(StageLimits, unmet(s.unmet))
	}
	return nil
}

// unmet is what couldn't be had, in one line.
type unmet []error

func (u unmet) Error() string {
	var texts []string
	for _, err := range u {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, "; ")
}

func (u unmet) Unwrap() []error { return u }

// tellUnmet tells which limits the tree goes on without.
func (s *starter) tellUnmet(t *Tree) {
	for _, err := range s.unmet {
		t.log.add(Event{Time: t.started, Kind: EventLimitUnmet, Text: err.Error()})
	}
}

// outOfMemory tells of members that the kernel has killed, when there are more than were
// told before.
func (o *owner) outOfMemory(kills int) {
	if kills <= o.exit.OOMKills {
		return
	}
	o.event(Event{Kind: EventOutOfMemory, Count: kills - o.exit.OOMKills})
	o.exit.OOMKills = kills
}

// cgroupOf is the cgroup of a tree that was attached to, and those of its limits.
func cgroupOf(e *wire.Entry) *contain.Cgroup {
	if e.CgroupPath == "" {
		return nil
	}
	return &contain.Cgroup{Path: e.CgroupPath, Groups: e.Groups}
}
