package pid1

import (
	"os"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/sys"
)

// terminal is the init's controlling terminal, where its standard input is that
// one and the init is in the foreground of it. The command gets it, as from a shell.
// All methods do nothing on nil. Who calls them has SIGTTOU blocked.
type terminal struct {
	file    *os.File
	own     int // the init's process group; 0 where it isn't of this PID namespace
	mode    sys.TerminalMode
	session bool // the command has a session of its own
	free    bool // no session has it
}

func openTerminal(stdin *os.File) *terminal {
	own := sys.Getpgrp()
	if !sys.InForeground(stdin, own) {
		return nil // it is none, or another's
	}
	mode, err := sys.Mode(stdin)
	if err != nil {
		return nil
	}
	return &terminal{file: stdin, own: own, mode: mode}
}

// detach gives the terminal up for a command with a session of its own. If the init
// leads its session, the terminal is free then, and the kernel sends SIGHUP and
// SIGCONT to the init. Else it stays that of a shell, from which root could only
// steal it.
func (t *terminal) detach() {
	if t == nil {
		return
	}
	t.session = true
	t.free = sys.LeadsSession() && sys.DetachTerminal(t.file) == nil
}

// forCommand is the terminal that the command is to have.
func (t *terminal) forCommand() *os.File {
	if t == nil || t.session && !t.free {
		return nil
	}
	return t.file
}

// give hands the terminal to the command's process group.
func (t *terminal) give(group int) {
	if t != nil && !t.session {
		_ = sys.SetForegroundGroup(t.file, group) // a terminal that's gone is nobody's
	}
}

// take takes the terminal back from the command's process group, and says whether
// it was there.
func (t *terminal) take(group int) bool {
	if t == nil || t.session || t.own <= 0 {
		return false
	}
	now, err := sys.ForegroundGroup(t.file)
	return err == nil && now == group && sys.SetForegroundGroup(t.file, t.own) == nil
}

// restore undoes, at the end, what a command that was killed may have left.
func (t *terminal) restore(group int, killed bool) {
	if t.take(group) && killed {
		_ = sys.SetMode(t.file, t.mode) // a terminal that's gone needs no mode
	}
}

// pause follows a command that its terminal has stopped: a shell is to have its
// prompt back. Where no shell could continue the init, the command is continued.
func (r *runner) pause(by syscall.Signal) {
	if r.terminal == nil || r.terminal.session || !isTerminalStop(by) {
		return
	}
	if os.Getpid() == 1 || sys.LeadsSession() {
		_ = r.tree.Signal(syscall.SIGCONT, foster.ScopeGroup) // it has ended
		return
	}
	r.terminal.take(r.tree.Leader())
	r.suspended = true
	_ = sys.Kill(-r.terminal.own, syscall.SIGSTOP) // its own group: there is one
}

// resume gives the terminal back to a command that was stopped with the init.
func (r *runner) resume() {
	if sys.InForeground(r.terminal.file, r.terminal.own) {
		r.terminal.give(r.tree.Leader())
	}
	r.suspended = false
	_ = r.tree.Signal(syscall.SIGCONT, foster.ScopeGroup) // the terminal had stopped all of it
}
