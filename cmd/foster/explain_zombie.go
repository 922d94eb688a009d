package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/foster-init/foster/proc"
)

// livesOn finds who lives of what a zombie has started, as far as that is proven, and counts
// the orphans of its session that began while it lived and that it may have started, too.
func (h *host) livesOn(z *proc.Process) (list []relative, unproven int) {
	named := map[int]bool{}
	for _, l := range h.table.LeftBy(z.PID) {
		named[l.PID] = true
		if h.spared(l.Process) == "" {
			r := newRelative(l.Process, 0, h.ports[l.PID])
			r.Verdict, r.Reason = l.Verdict.String(), l.Reason
			list = append(list, r)
		}
	}
	for _, p := range h.table.Session(z.Session) {
		began := p.Started()
		if !named[p.PID] && !p.Zombie() && h.spared(p) == "" && h.custody(p.PID) == nil && orphanhood(h.table, p.PID).Verdict >= proc.Likely &&
			!began.Before(z.Started()) && (z.Ended.IsZero() || began.Before(z.Ended.Add(time.Second))) {
			unproven++
		}
	}
	return list, unproven
}

// livesOnSentences say who lives on, and how certain it is that the zombie started that.
func (e *explanation) livesOnSentences() (text string) {
	var certain, likely []relative
	for _, r := range e.LivesOn {
		if r.Verdict == proc.Certain.String() {
			certain = append(certain, r)
		} else {
			likely = append(likely, r)
		}
	}
	if len(certain) > 0 {
		text = " What it started lives on: " + livesOnWords(certain, false) + " (certain: in the session that it made)."
	}
	if len(likely) > 0 {
		text += " What it started likely lives on: " + livesOnWords(likely, false) + " (orphans of the process group that it led, and what is below them)."
	}
	return text
}

// livesOnWords say who lives on, what each listens at, and how certain it is.
func livesOnWords(list []relative, verdicts bool) string {
	const most = 5
	var names []string
	for _, r := range list[:min(len(list), most)] {
		name := named(r.Name, r.PID)
		if ports := portTexts(r.Ports, r.OtherPorts); len(ports) > 0 {
			name += ", which listens at " + strings.Join(ports, ", ")
		}
		if verdicts {
			name += " (" + r.Verdict + ")"
		}
		names = append(names, name)
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, "; ")
}

// groupWords say who leads a group or a session, and whether that lives.
func (h *host) groupWords(n int, p *proc.Process, gone bool) string {
	leader := h.table.Get(n)
	switch {
	case n == 0:
		return "its leader is outside of this PID namespace"
	case n == p.PID && p.Zombie():
		return fmt.Sprintf("%d, which it led itself, until it ended", n)
	case n == p.PID:
		return fmt.Sprintf("%d, which it leads itself", n)
	case gone:
		return fmt.Sprintf("%d; process %[1]d, which led it, is gone", n)
	case leader != nil && leader.Zombie():
		return fmt.Sprintf("%d; its leader, %s, is a zombie: it has ended", n, called(leader))
	}
	return fmt.Sprintf("%d, whose leader is there", n)
}
