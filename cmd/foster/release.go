package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/wire"
)

// newRelease is foster release.
func newRelease(stdout, stderr io.Writer) *cobra.Command {
	var p projectFlags
	var form string
	var pid int
	cmd := &cobra.Command{
		Use:   "release [flags] ID",
		Short: "Let go of a tree: its processes run on, and nobody watches them",
		Long: `Let go of a tree, as of a daemon that is to outlive its start script. Its processes run on.
Nobody watches, stops or reaps them from then on: they are no longer foster's. foster run or the
program that has started the tree ends as if the tree had ended, and says that it was released.
Those that run on are printed.

With --pid, one process of the tree is let go, and those below it, as a build server that is to
outlive the rest. The tree goes on without them: a stop leaves them alone, and doesn't wait for
them.

A PID namespace can't be released: the kernel ends it with its first process. Nor can a process
group as long as its leader lives. An application of a project can't: its supervisor would
start another.`,
		Example:           "  foster release web\n  foster release --pid 4107 web",
		Args:              needs("foster release web", "the name of a tree"),
		ValidArgsFunction: completeID,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			if cmd.Flags().Changed("pid") && pid <= 0 {
				return usageError{fmt.Errorf("--pid: %d is no number of a process", pid)}
			}
			id := args[0]
			if app, err := p.asApp(cmd.Context(), id, func(*ownedBy) error {
				return refusalError{hinted{
					fmt.Errorf("%q is an application of a project, which can't be released: its supervisor would start another", id),
					"foster stop " + id + " stops it",
				}}
			}); app {
				return err
			}
			if pid > 0 {
				return releaseProcess(stdout, stderr, form, id, pid)
			}
			return releaseTree(stdout, stderr, form, id)
		},
	}
	cmd.Flags().IntVar(&pid, "pid", 0, "let go of the process with this `PID` alone, and of those below it")
	outputFlag(cmd, &form)
	p.add(cmd)
	return cmd
}

// released is what foster release prints; its keys are kept.
type released struct {
	ID       string   `json:"id"`
	Released []member `json:"released"`
}

func releaseTree(stdout, stderr io.Writer, form, id string) error {
	found, c, err := connect(id)
	if err != nil {
		return asRefusal(err)
	}
	defer c.Close()
	before, kept, err := releaseBy(c, found.Entry)
	if err != nil {
		return asRefusal(refused(id, err))
	}
	r := released{ID: id, Released: []member{}}
	for _, m := range before {
		now, err := procfs.Read(m.PID)
		if err == nil && now.Start == m.Start && !now.Zombie() {
			r.Released = append(r.Released, member{PID: m.PID, Name: now.Comm})
		}
	}
	if kept {
		fmt.Fprintf(stderr, "foster: the output of %s was kept by its shim: who writes to it now gets SIGPIPE\n", id)
	}
	return r.write(stdout, form)
}

// releaseProcess has a shim let go of one process, and of those below it.
func releaseProcess(stdout, stderr io.Writer, form, id string, pid int) error {
	_, c, err := connect(id)
	if err != nil {
		return asRefusal(err)
	}
	defer c.Close()
	status, err := c.Status()
	if err != nil {
		return asRefusal(refused(id, err))
	}
	if pid == status.Leader.PID && !status.LeaderDone {
		return refusalError{hinted{
			fmt.Errorf("tree %q: process %d is its leader, which is released with the whole tree alone", id, pid),
			"foster release " + id + " lets go of the whole tree",
		}}
	}
	list, err := c.ReleaseProcess(pid)
	if err != nil {
		return asRefusal(refused(id, err))
	}
	r := released{ID: id, Released: []member{}}
	for _, m := range list {
		r.Released = append(r.Released, member{PID: m.PID, Name: m.Name})
	}
	if len(status.Outputs) > 0 {
		fmt.Fprintf(stderr, "foster: the output of %s is kept by its shim: who writes to it when the tree has ended gets SIGPIPE\n", id)
	}
	return r.write(stdout, form)
}

func (r released) write(stdout io.Writer, form string) (err error) {
	id := r.ID
	if form == "json" {
		return writeJSON(stdout, r)
	}
	if len(r.Released) == 0 {
		_, err = fmt.Fprintf(stdout, "%s: released; none of its processes runs on\n", id)
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: released; nobody watches these from now on: %s\n", id, memberNames(r.Released))
	return err
}

func memberNames(list []member) string {
	var names []string
	for _, m := range list {
		names = append(names, fmt.Sprintf("%s (pid %d)", printable(m.Name), m.PID))
	}
	return strings.Join(names, ", ")
}

// releaseBy has a shim let go, and says who was there, and whether the shim kept an output.
func releaseBy(c *control.Client, entry *wire.Entry) (before []procfs.Stat, kept bool, err error) {
	status, err := c.Status()
	if err != nil {
		return nil, false, err
	}
	if err := c.Watch(); err != nil {
		return nil, false, err
	}
	for _, m := range members(entry, &member{PID: status.Leader.PID}) {
		if s, err := procfs.Read(m.PID); err == nil {
			before = append(before, s)
		}
	}
	if err := c.Release(); err != nil {
		return nil, false, err
	}
	if _, err := awaitEnd(c); err != nil && !errors.Is(err, errShimGone) {
		return nil, false, err
	}
	return before, len(status.Outputs) > 0, nil
}
