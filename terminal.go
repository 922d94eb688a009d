package foster

import (
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/sys"
)

// A program of os/exec shares the process group of its caller, and with it the terminal. A
// tree has a group of its own, and the terminal is one group's at a time: who reads it from
// another is stopped. So the terminal of this program is lent to a tree, as a shell lends
// it to a job: at the start where it is Stdin, and else when the leader is stopped since it
// wanted to use it. It is lent only while this program's own group has it.
//
// lending is the part of the owner's side that lends it to one tree.
type lending struct {
	file *os.File // of its own; nil: this program has no terminal, or it isn't to be lent
	own  int      // this program's process group
	mode sys.TerminalMode

	held    bool           // by the tree
	paused  syscall.Signal // by which the leader was stopped; 0: it wasn't
	turn    chan struct{}  // the tree before has given it back
	resumed chan os.Signal // this program was stopped with its leader, and goes on
}

// lent are the trees of this program that have its terminal, or wait for it.
var lent struct {
	sync.Mutex
	holder  *lending
	waiting []*lending
}

// openLending finds the terminal that a command may use; file is its Stdin, or nil.
func openLending(file *os.File) *lending {
	l := &lending{own: sys.Getpgrp(), turn: make(chan struct{}, 1)}
	var err error
	if file != nil {
		fd, dupErr := sys.Dup(int(file.Fd()))
		if dupErr != nil {
			return nil
		}
		l.file = os.NewFile(uintptr(fd), file.Name())
	} else if l.file, err = sys.OpenTerminal(); err != nil {
		return nil
	}
	// Only the controlling terminal has a foreground group for this program.
	if _, err = sys.ForegroundGroup(l.file); err == nil {
		l.mode, err = sys.Mode(l.file)
	}
	if err != nil {
		l.file.Close()
		return nil
	}
	return l
}

// lend is the terminal that the program gets at its start; nil: none.
func (c *Cmd) lend() *lending {
	stdin, ok := c.Stdin.(*os.File)
	if !ok || !c.lends() || !sys.IsTerminal(stdin) {
		return nil
	}
	l := openLending(stdin)
	if l == nil {
		return nil
	}
	if !l.claim() {
		l.file.Close()
		return nil
	}
	return l
}

// lends says whether the terminal is this library's to lend.
func (c *Cmd) lends() bool {
	return c.Terminal == nil && !c.Setsid && !c.KeepTerminal && !c.attr.foreground && !c.attr.Noctty
}

// ours says whether this program's group is in the foreground.
func (l *lending) ours() bool {
	return sys.InForeground(l.file, l.own)
}

// claim says whether the terminal can be lent now, and takes note that it is.
func (l *lending) claim() bool {
	lent.Lock()
	defer lent.Unlock()
	if lent.holder != nil || !l.ours() {
		return false
	}
	lent.holder, l.held = l, true
	return true
}

// wait has turn say when the tree that has the terminal has given it back. It is false
// where none has it.
func (l *lending) wait() bool {
	lent.Lock()
	defer lent.Unlock()
	if lent.holder == nil {
		return false
	}
	lent.waiting = append(lent.waiting, l)
	return true
}

// giveBack takes the terminal from the tree, and lets the next have its turn. Where somebody
// else has it by now, a shell that has put this program into the background, it isn't taken.
func (l *lending) giveBack(leader int) {
	if !l.held {
		return
	}
	if group, err := sys.ForegroundGroup(l.file); err == nil && group != l.own && (group == leader || sys.GroupIsEmpty(group)) {
		_ = sys.TakeTerminal(l.file, l.own) // a terminal that's gone is nobody's
	}
	lent.Lock()
	defer lent.Unlock()
	l.held = false
	lent.holder = nil
	if len(lent.waiting) > 0 {
		next := lent.waiting[0]
		lent.waiting = lent.waiting[1:]
		next.turn <- struct{}{}
	}
}

// close ends the lending when the run is over.
func (l *lending) close(leader int, killed bool) {
	if l == nil {
		return
	}
	held := l.held
	l.giveBack(leader)
	if held && killed && l.ours() {
		_ = sys.SetMode(l.file, l.mode) // what was killed can't restore it
	}
	lent.Lock()
	for i, other := range lent.waiting {
		if other == l {
			lent.waiting = append(lent.waiting[:i:i], lent.waiting[i+1:]...)
			break
		}
	}
	lent.Unlock()
	l.stopListening()
	l.file.Close()
}

func (l *lending) stopListening() {
	if l.resumed != nil {
		signal.Stop(l.resumed)
		l.resumed = nil
	}
}

// turns and resumes are what the owner's loop waits for.
func (l *lending) turns() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.turn
}

func (l *lending) resumes() <-chan os.Signal {
	if l == nil {
		return nil
	}
	return l.resumed
}

// leaderPaused is for a leader that was stopped by a signal.
func (o *owner) leaderPaused(sig syscall.Signal) {
	if !o.cmd.lends() || o.lentOnce {
		return
	}
	wants := sig == syscall.SIGTTIN || sig == syscall.SIGTTOU
	if !wants && (sig != syscall.SIGTSTP || o.terminal == nil || !o.terminal.held) || o.stopAsked {
		return // it wasn't by the terminal
	}
	if o.terminal == nil {
		o.terminal = openLending(nil)
	}
	l := o.terminal
	if l == nil {
		return
	}
	l.paused = sig
	l.stopListening()
	if wants && l.held {
		l.giveBack(o.tree.leader) // it was taken from the leader, by a shell
	}
	switch {
	case wants && l.claim():
		o.handTerminal()
	case wants && l.wait(): // another tree has it
	case !hasShell(l.own):
		l.paused = 0
		if !wants {
			o.signalGroup(syscall.SIGCONT) // nobody could continue it
		}
	default:
		// With os/exec, all of the job would have been stopped.
		l.giveBack(o.tree.leader)
		l.resumed = make(chan os.Signal, 1)
		signal.Notify(l.resumed, syscall.SIGCONT)
		_ = sys.Kill(-l.own, sig) // its own group: there is one
	}
}

// endLending gives the terminal back for good, when the leader has ended.
func (o *owner) endLending() {
	o.lentOnce = true
	o.terminal.close(o.tree.leader, o.exit.Leader.Signal != 0)
	o.terminal = nil
}

// noteStopSignal takes note that this program stops the leader by itself: then it doesn't
// stop with it.
func (o *owner) noteStopSignal(sig syscall.Signal) {
	if sig == syscall.SIGTSTP || sig == syscall.SIGTTIN || sig == syscall.SIGTTOU {
		o.stopAsked = true
	}
}

// leaderContinued is for a leader that was continued, by whomever.
func (o *owner) leaderContinued() {
	o.stopAsked = false
	if l := o.terminal; l != nil && l.paused != 0 && l.claim() {
		l.stopListening()
		o.handTerminal()
	}
}

// handTerminal gives the terminal to the leader's group, and continues that.
func (o *owner) handTerminal() {
	l := o.terminal
	l.paused = 0
	if o.tree.leader > 0 {
		_ = sys.TakeTerminal(l.file, o.tree.leader) // it has ended
	}
	o.signalGroup(syscall.SIGCONT)
}

func (o *owner) signalGroup(sig syscall.Signal) {
	go func() { _ = o.tree.Signal(sig, ScopeGroup) }() // it has ended: as well
}

// terminalTurn is for a tree that has waited for the terminal.
func (o *owner) terminalTurn() {
	if l := o.terminal; l.paused != 0 && l.claim() {
		o.handTerminal()
	}
}

// programResumed is for this program when it was stopped with its leader, and goes on: with
// the terminal, in the foreground, or without it.
func (o *owner) programResumed() {
	l := o.terminal
	l.stopListening()
	if l.paused == 0 {
		return
	}
	if l.claim() {
		o.handTerminal()
		return
	}
	l.paused = 0
	o.signalGroup(syscall.SIGCONT)
}

// hasShell says whether somebody can continue a process group when it is stopped: one of
// its session who isn't in it has started it. Else the kernel ignores the stop, as
// setpgid(2) says of orphaned groups.
func hasShell(group int) bool {
	leader, err := procfs.Read(group)
	if err != nil {
		if leader, err = procfs.Read(os.Getpid()); err != nil {
			return false
		}
	}
	parent, err := procfs.Read(leader.PPID)
	return err == nil && parent.Session == leader.Session && parent.PGID != group
}
