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
	cmd := &cobra.Command{
		Use:   "release [flags] ID",
		Short: "Let go of a tree: its processes run on, and nobody watches them",
		Long: `Let go of a tree, as of a daemon that is to outlive its start script. Its processes run on.
Nobody watches, stops or reaps them from then on: they are no longer foster's. foster run or the
program that has started the tree ends as if the tree had ended, and says that it was released.
Those that run on are printed.

A PID namespace can't be released: the kernel ends it with its first process. Nor can a process
group as long as its leader lives. An application of a project can't: its supervisor would
start another.`,
		Example:           "  foster release web",
		Args:              needs("foster release web", "the name of a tree"),
		ValidArgsFunction: completeID,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
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
			return releaseTree(stdout, stderr, form, id)
		},
	}
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
	if form == "json" {
		return writeJSON(stdout, r)
	}
	var names []string
	for _, m := range r.Released {
		names = append(names, fmt.Sprintf("%s (pid %d)", printable(m.Name), m.PID))
	}
	if len(names) == 0 {
		_, err = fmt.Fprintf(stdout, "%s: released; none of its processes runs on\n", id)
		return err
	}
	_, err = fmt.Fprintf(stdout, "%s: released; nobody watches these from now on: %s\n", id, strings.Join(names, ", "))
	return err
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
