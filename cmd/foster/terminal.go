package main

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// terminal is the controlling terminal of foster run, which it hands to the
// application's process group and takes back, as a shell does with its jobs.
type terminal struct {
	file *os.File
	own  int // foster's process group
	mode sys.TerminalMode
}

// openTerminal returns nil where foster has no controlling terminal; all methods
// do nothing then.
func openTerminal() *terminal {
	file, err := sys.OpenTerminal()
	if err != nil {
		return nil
	}
	mode, err := sys.Mode(file)
	if err != nil {
		file.Close()
		return nil
	}
	// Taking the terminal back is done from the background.
	signal.Ignore(syscall.SIGTTOU)
	return &terminal{file: file, own: sys.Getpgrp(), mode: mode}
}

// ours says whether foster's own process group is in the foreground.
func (t *terminal) ours() bool {
	if t == nil {
		return false
	}
	return sys.InForeground(t.file, t.own)
}

// interactive says whether the application is to have the terminal from the
// start: where foster reads from it and writes to it. In a pipeline it's another
// command's as well, and handed over only to an application that wants to read.
func (t *terminal) interactive() bool {
	return t.ours() && sys.IsTerminal(os.Stdin) && sys.IsTerminal(os.Stdout)
}

// give hands the terminal to a process group.
func (t *terminal) give(group int) bool {
	return t.ours() && group > 0 && sys.SetForegroundGroup(t.file, group) == nil
}

// take takes the terminal back from the application, and says whether foster has
// it. From a shell, which has put foster in the background, it isn't taken.
//
// A group in which nobody is left has it where the application was a shell that has
// ended in the middle of a job, or its program couldn't be executed. Nobody would hear
// Ctrl-C then: neither the script that has started foster, nor what that starts next.
func (t *terminal) take(application int) bool {
	if t == nil {
		return false
	}
	if group, err := sys.ForegroundGroup(t.file); err == nil && (group == application || sys.GroupIsEmpty(group)) {
		_ = sys.SetForegroundGroup(t.file, t.own) // said below
	}
	return t.ours()
}

// restore undoes, at the end, what an application that was killed may have left: the
// foreground group, and the mode.
func (t *terminal) restore(application int, killed bool) {
	if t.take(application) && killed {
		_ = sys.SetMode(t.file, t.mode) // a terminal that's gone needs no mode
	}
}
