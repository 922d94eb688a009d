// Package foster runs commands and never loses a process of them.
//
// It is used like os/exec, for programs that start others in turn: a start script
// that runs the real application, say. os/exec knows only the process that it
// started. foster holds the whole tree: the leader, which is the process it
// started, and every descendant, also those that changed their group or session,
// were orphaned, or cleared their environment.
//
// Call [Command] first, then [Cmd.Run], [Cmd.Output] or [Cmd.Start]. Start gives a
// [Tree], which can be listed, signalled, stopped, waited for and watched. A
// program that uses os/exec already calls [From].
//
// # What is guaranteed
//
// A run ends when the kernel says that the tree is empty, not when its leader has
// ended; [Cmd.Until] can say otherwise. What ends is reaped at once, so nothing
// stays a zombie but what a living member neglects. A stop asks in the orderly way
// first, and after a time ends the rest with SIGKILL, until nothing is left; what
// can't be ended is named. When this program dies, by whatever cause, its trees
// are stopped so too. When a stop is due to a cancelled context, it is just as
// orderly.
//
// # By which mechanism
//
// Between this program and the tree stands a shim: a process that starts, reaps,
// reports and empties, and does nothing else. It is this program's executable,
// started once more; package foster takes over while packages are initialised, so
// main doesn't run in it (an init function of a package whose import path sorts
// before this one's may). It sees this program die by a socket that closes.
//
// How the tree is held together is its [Containment], from weakest to strongest:
// a process group, a subreaper, a cgroup, a PID namespace. [Auto] takes a cgroup
// where one can be had, else the subreaper. What was reached is in
// [Tree.Containment]; what was asked for by name and can't be had is an error.
//
// # What can't be guaranteed
//
// The group, which is all that macOS and FreeBSD have, loses what leaves it. If
// the shim is killed with SIGKILL, a cgroup is emptied by this program and a PID
// namespace by the kernel; below a subreaper the members are handed to the next
// subreaper or to init: this program ends those who were seen before, and who descends
// from them, can't prove that no other is left, and the run ends with [ErrShimLost]
// and without a time in Exit.TreeEmpty. A process of another
// user (sudo in a tree of an ordinary user) may not be signalled outside of a
// cgroup; it is named in a [SurvivorsError]. If this program and the shim are killed
// at once, the kernel ends a PID namespace and the leader of a group; what is left of
// the others runs on until [Recover], or the next foster command, finds it in the
// journal and ends it: in a cgroup all, else those who were seen while the shim lived,
// and who descends from them.
package foster

import "github.com/foster-init/foster/internal/shim"

func init() { shim.Main() }
