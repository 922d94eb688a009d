package supervise

import (
	"slices"
	"strconv"
	"strings"

	"github.com/foster-init/foster/client"
)

// Some applications of a supervisor that was killed are stopped, and the others left to their
// grace, by one that takes over only those, has them stopped by hand, and leaves.

// endsSome says whether this supervisor only stops some of what an earlier life has left.
func (s *Supervisor) endsSome() bool { return s.options.End && len(s.options.EndOnly) > 0 }

// takes says whether an instance is one that this supervisor takes over.
func (s *Supervisor) takes(app string, replica int) bool {
	return !s.endsSome() || slices.ContainsFunc(s.options.EndOnly, func(t client.Target) bool {
		return t.All || t.App == app && (t.Replica == 0 || t.Replica == replica)
	})
}

// endSome stops those that were taken over, and then ends as if another were to take over.
func (s *Supervisor) endSome() {
	s.resigned = true
	found := slices.DeleteFunc(s.instances(), func(i *instance) bool { return !s.takes(i.app.spec.Name, i.replica) })
	r := s.stopping(found, s.options.EndPlan)
	r.reply = make(chan error, 1) // survivors names what couldn't be ended
	s.requests = append(s.requests, r)
	s.unsettled = true
}

func targetNames(of []client.Target) string {
	var names []string
	for _, t := range of {
		switch {
		case t.All:
			return "all"
		case t.Replica > 0:
			names = append(names, t.App+"."+strconv.Itoa(t.Replica))
		default:
			names = append(names, t.App)
		}
	}
	return strings.Join(names, ", ")
}
