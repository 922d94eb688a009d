package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// The words of foster explain: what is seen, what it means, what to type.

// stateMeans says what the state of a process means for who wants to be rid of it.
func stateMeans(p *proc.Process) string {
	if p.FirstThreadEnded() {
		return plainState(p) + fmt.Sprintf(". This is the state of its thread %d: the first thread exited, and others go on", p.Thread)
	}
	return plainState(p)
}

func plainState(p *proc.Process) string {
	switch {
	case p.Zombie():
		return "it has ended. What is left is its line in the process table, with its exit status, until its parent asks for that. It can't be killed: it is dead"
	case p.State == proc.Running:
		return "it runs, or could as soon as a processor is free"
	case p.State == proc.Sleeping:
		return "it sleeps until something happens: input, a time, the end of a child. Most processes do, most of the time"
	case p.State == proc.Disk:
		return "it waits in the kernel, for a disk or a network file system say, and acts on no signal before that is over, not on SIGKILL either"
	case p.State == proc.Stopped:
		return fmt.Sprintf("it was stopped by a signal, Ctrl-Z say. kill -CONT %d lets it go on", p.PID)
	case p.State == proc.Traced:
		return "a debugger has stopped it"
	}
	return p.State.Words()
}

func verdictWords(v proc.Verdict) string {
	switch v {
	case proc.Certain:
		return "certain"
	case proc.Likely:
		return "likely, not certain"
	case proc.Possible:
		return "possible, nothing tells for sure"
	}
	return "no"
}

// summary is the one sentence that comes first.
func (h *host) summary(e *explanation) string {
	who := called(e.process)
	port := e.portSentences()
	switch {
	case e.Zombie && tracedByAnother(e.process):
		return fmt.Sprintf("%s is a zombie: it has ended, and %s, which traces it, hasn't asked how. Its parent, %s, can't before that.%s",
			who, h.calledPID(e.process.Tracer), h.calledPID(e.PPID), e.livesOnSentences())
	case e.Zombie:
		return fmt.Sprintf("%s is a zombie: it has ended, and its parent, %s, hasn't asked how.%s", who, h.calledPID(e.PPID), e.livesOnSentences())
	case e.Custody != nil && e.Custody.Tree != "":
		return fmt.Sprintf("%s is in the custody of foster's tree %s.%s", who, e.Custody.Tree, port)
	case e.Custody != nil:
		return fmt.Sprintf("%s is in the custody of a foster of another user.%s", who, port)
	case e.Foster:
		return fmt.Sprintf("%s is foster itself: it watches over what it has started, and needs no parent for that.%s", who, port)
	case e.LostTree != "":
		return fmt.Sprintf("%s is what is left of foster's tree %s, whose foster and shim were killed.%s", who, e.LostTree, port)
	case e.orphan.Verdict == proc.Certain:
		return fmt.Sprintf("%s is an orphan: the process that started it is gone, and nobody watches it.%s", who, port)
	case e.orphan.Verdict == proc.Likely:
		return fmt.Sprintf("%s is likely an orphan: it seems that the process that started it is gone.%s", who, port)
	case e.BelowOrphan > 0 && h.table.Orphan(e.BelowOrphan).Verdict < proc.Certain:
		return fmt.Sprintf("%s belongs to what is likely an orphan, %s: it seems that the process that started that one is gone.%s",
			who, h.calledPID(e.BelowOrphan), port)
	case e.BelowOrphan > 0:
		return fmt.Sprintf("%s belongs to an orphan, %s: the process that started that one is gone, and nobody watches them.%s",
			who, h.calledPID(e.BelowOrphan), port)
	case e.Service != "":
		return fmt.Sprintf("%s belongs to the service %s.%s", who, proc.Printable(e.Service), port)
	case e.orphan.Verdict == proc.Possible:
		return fmt.Sprintf("%s may be an orphan, or a daemon that is meant to run so.%s", who, port)
	case e.process.Kernel:
		return who + " is a thread of the kernel."
	case e.PID == 1:
		return who + " is the first process: it adopts the orphans that nobody else adopts, and has to reap them." + port
	}
	return fmt.Sprintf("%s is neither orphan nor zombie: its parent, %s, is there.%s", who, h.calledPID(e.PPID), port)
}

// portSentences say where it listens, and who has the port that was asked for.
func (e *explanation) portSentences() (text string) {
	if len(e.Ports) > 0 {
		text = " It listens at " + strings.Join(e.Ports, ", ") + "."
	}
	if len(e.OtherPorts) > 0 {
		text += " In another network namespace, it listens at " + strings.Join(portTexts(nil, e.OtherPorts), ", ") + "."
	}
	if len(e.Holders) == 0 {
		return text
	}
	if s := e.Holders[0].Sockets[0]; s.use != proc.Listening {
		text += fmt.Sprintf(" It holds port %d: it %s.", e.Port, e.Holders[0].words())
	}
	if others := e.otherHolders(); len(others) > 0 {
		text += fmt.Sprintf(" Port %d is also held by %s.", e.Port, calledAll(others))
	}
	return text
}

// otherHolders are those who hold the port beside the one that is explained.
func (e *explanation) otherHolders() (list []*proc.Process) {
	for _, p := range e.Holders[min(1, len(e.Holders)):] {
		if !p.elsewhere() {
			list = append(list, p.process)
		}
	}
	return list
}

func (h *host) calledPID(pid int) string {
	if p := h.table.Get(pid); p != nil {
		return called(p)
	}
	return fmt.Sprintf("process %d", pid)
}

// reaper says who has to reap it, and who else would.
func (h *host) reaper(e *explanation) string {
	switch {
	case e.process.Kernel:
		return "the kernel."
	case e.PPID == 0:
		return "a process outside of this PID namespace, which can't be seen from here."
	}
	parent := h.calledPID(e.PPID)
	line := fmt.Sprintf("%s, its parent, when it ends.", parent)
	if e.Zombie && tracedByAnother(e.process) {
		line = fmt.Sprintf("%s, its parent, once %s, which traces it, has asked for its end or has ended.", parent, h.calledPID(e.process.Tracer))
	} else if e.Zombie {
		line = fmt.Sprintf("%s, its parent, and nobody else while that lives.", parent)
	}
	if e.orphan.Verdict == proc.Certain && e.AdoptedBy > 0 {
		line = fmt.Sprintf("%s, which has adopted it.", parent)
	} else if e.orphan.Verdict == proc.Likely && e.AdoptedBy > 0 {
		line = fmt.Sprintf("%s, which has likely adopted it.", parent)
	}
	if next := h.adopter(e.PPID); next != nil {
		line += fmt.Sprintf(" If that ended, %s would adopt it.", called(next))
	}
	return line
}

// adopter is who would adopt the children of a process, as far as can be seen.
func (h *host) adopter(pid int) *proc.Process {
	for _, a := range h.table.Ancestors(pid) {
		if v, _ := h.table.Adopts(a.PID); v >= proc.Likely {
			return a
		}
	}
	return nil
}

// lostTree is the tree of this user that is lost and that a process is left of.
func lostTree(pid int) string {
	state, _, err := journal.Folders()
	if err != nil {
		return ""
	}
	found, _, err := journal.Scan(state)
	if err != nil {
		return ""
	}
	for _, f := range found {
		if f.State != journal.Lost {
			continue
		}
		left, _, _ := contain.NewLost(f.Entry, f.Life).Find() // what can't be proven isn't its
		for _, s := range left {
			if s.PID == pid {
				return f.Entry.ID
			}
		}
	}
	return ""
}

const startAgain = "start it, or the script that ran it, like this the next time: then it can't be lost"

// advise says what to type, the most fitting first.
func (h *host) advise(e *explanation) []advice {
	list := h.adviseProcess(e)
	if others := e.otherHolders(); len(others) > 0 {
		list = append(list, advice{fmt.Sprintf("foster explain %d", others[0].PID),
			fmt.Sprintf("tells about %s: port %d is free when all who hold it have ended", called(others[0]), e.Port)})
	}
	return list
}

func (h *host) adviseProcess(e *explanation) []advice {
	again := advice{"foster run -- " + startCommand(e.process), startAgain}
	switch p := e.process; {
	case e.Zombie:
		return h.adviseZombie(e)
	case e.Custody != nil && e.Custody.Tree != "":
		id := e.Custody.Tree
		return []advice{
			{"foster inspect " + id, "shows the tree that it belongs to"},
			{"foster stop " + id, "ends the tree, to the last process"},
		}
	case e.Custody != nil:
		return []advice{{"foster ls", "as the user whose tree it is: shows it; foster stop ID ends it"}}
	case e.Foster:
		return []advice{{"foster ls", "lists the trees of this user; foster stop ID ends one, foster down a project"}}
	case e.LostTree != "":
		return []advice{
			{"foster recover --list", "shows what is left of that tree"},
			{"foster recover", "ends it"},
		}
	case e.BelowOrphan > 0:
		root := h.table.Get(e.BelowOrphan)
		return []advice{
			{fmt.Sprintf("foster explain %d", root.PID), "tells about the orphan that it belongs to"},
			{sudo(root) + fmt.Sprintf("foster orphans --stop %d", root.PID), "ends that orphan and what is below it, " +
				count(len(h.table.Descendants(root.PID))+1, "process") + ", this one included"},
			{"foster run -- " + startCommand(root), startAgain},
		}
	case h.spared(p) != "" || e.Service != "":
		return h.adviseService(e)
	case e.orphan.Verdict >= proc.Possible:
		unless := ""
		if e.orphan.Verdict == proc.Possible {
			unless = "if it isn't meant to run: "
		}
		return []advice{
			{sudo(p) + fmt.Sprintf("foster orphans --stop %d", e.PID), unless + "ends it and what is below it, " + h.total(e) + ": SIGTERM, after 10s SIGKILL, and the proof that nothing is left"},
			again,
		}
	}
	if e.PPID == 0 {
		return []advice{}
	}
	return []advice{{fmt.Sprintf("foster explain %d", e.PPID), "tells about its parent"}}
}

func (h *host) adviseService(e *explanation) []advice {
	if e.Service == "" {
		return []advice{}
	}
	unit := proc.Printable(e.Service)
	return []advice{
		{"systemctl status " + unit, "shows the service"},
		{"systemctl stop " + unit, "ends it; who kills it by hand sees it restarted"},
	}
}

// tracedByAnother says that a debugger keeps a zombie from its parent.
func tracedByAnother(p *proc.Process) bool { return p.Tracer > 0 && p.Tracer != p.PPID }

func (h *host) adviseZombie(e *explanation) []advice {
	var list []advice
	if tracedByAnother(e.process) {
		return []advice{{fmt.Sprintf("foster explain %d", e.process.Tracer), "tells about the process that traces it: when that ends, the parent can reap"}}
	}
	if len(e.LivesOn) > 0 {
		list = append(list, advice{fmt.Sprintf("foster explain %d", e.LivesOn[0].PID), "tells about who lives on, and how to end that"})
	} else if e.unproven > 0 {
		list = append(list, advice{"foster orphans", fmt.Sprintf("lists the orphans of this host: %s of its session began while it lived, and nothing proves who started %s",
			plural(e.unproven, "one", fmt.Sprint(e.unproven)), plural(e.unproven, "it", "them"))})
	}
	if e.habit != nil && e.habit.Told == proc.ToldStopped {
		list = append(list, advice{fmt.Sprintf("kill -CONT %d", e.PPID), "lets the parent go on, which is stopped"})
	}
	if e.habit == nil || nudgeMayHelp(e.habit.Told) {
		list = append(list, advice{fmt.Sprintf("foster zombies --nudge %d", e.PPID), "sends the parent SIGCHLD, and tells whether that made it reap"})
	}
	if e.PPID == 1 {
		return append(list, advice{"foster init -- …", "as PID 1 of the container, or docker run --init: the first process here doesn't reap what it adopts"})
	}
	return append(list,
		advice{fmt.Sprintf("foster zombies --reap-by-ending-parent %d", e.PPID), "the last resort: ends the parent, whose other children are orphaned by that; who adopts the zombie reaps it"},
		advice{"foster run -- …", "what is started so is always waited for"})
}

func (h *host) total(e *explanation) string { return count(len(e.Below)+1, "process") }

// startCommand is how it might be started again: a script by its own name, where the
// kernel has put its interpreter before it.
func startCommand(p *proc.Process) string {
	if len(p.Args) > 1 && strings.HasPrefix(filepath.Base(p.Args[1]), p.Name) {
		script := *p
		script.Args = p.Args[1:]
		p = &script
	}
	const most = 100 // what is longer, or has to be quoted, nobody types
	if line := p.CommandLine(); len(p.Args) > 0 && len(line) <= most && !strings.ContainsAny(line, "'\"\\$`;&|<>()*?#~") {
		return line
	}
	return "./start.sh"
}

func sudo(p *proc.Process) string {
	if allowed(p) != nil {
		return "sudo "
	}
	return ""
}

// endTold says how and when a zombie ended.
func endTold(p *proc.Process) string {
	line := "it has ended"
	if p.Knows(proc.End) {
		switch {
		case p.Exit.Signal != 0:
			line = "it was killed by " + units.SignalName(syscall.Signal(p.Exit.Signal))
		default:
			line = fmt.Sprintf("it exited with status %d", p.Exit.Code)
		}
	}
	if age, ok := zombieAge(p); ok {
		line += ", about " + short(age) + " ago"
	}
	return line + "; nobody has asked for that yet"
}
