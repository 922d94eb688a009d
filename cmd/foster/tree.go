package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/proc"
)

// newTree is foster tree.
func newTree(stdout *os.File) *cobra.Command {
	var form string
	var all bool
	cmd := &cobra.Command{
		Use:   "tree [flags] [PID|NAME]",
		Short: "Show processes as a tree, with orphans and zombies marked",
		Long: `Show a process and all that descend from it as a tree; of a name, each process that
is called so. Without an argument it is the tree of the whole host, without the
threads of the kernel.`,
		Args:              treeArguments,
		ValidArgsFunction: completeProcess,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			var needs proc.Fields
			if form == "json" {
				needs = jsonNeeds
			}
			v, err := newView(needs)
			if err != nil {
				return err
			}
			roots, err := treeRoots(v, args)
			if err != nil {
				return err
			}
			p := planting{view: v, kernel: all, seen: map[int]bool{}}
			if form == "json" {
				return writeJSON(stdout, p.nested(roots))
			}
			return canvasOf(stdout).write(stdout, p.picture(roots))
		},
	}
	outputFlag(cmd, &form)
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also the threads of the kernel")
	return cmd
}

func treeArguments(_ *cobra.Command, args []string) error {
	const example = "foster tree 4112, or foster tree start.sh"
	if len(args) > 1 {
		return usageError{hinted{fmt.Errorf("foster tree takes no further argument: got %q", args[1]), example}}
	}
	if len(args) == 1 && !digits(args[0]) {
		if err := validPattern(args[0]); err != nil {
			return usageError{hinted{err, example}}
		}
	}
	return nil
}

func digits(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func completeProcess(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return namesThere(), cobra.ShellCompDirectiveNoFileComp
}

// treeRoots are the processes whose trees were asked for.
func treeRoots(v *view, args []string) ([]*proc.Process, error) {
	if len(args) == 0 {
		return v.Roots(), nil
	}
	if digits(args[0]) {
		pid, ok := pidNumber(args[0])
		if !ok {
			return nil, refusalError{fmt.Errorf("there is no process %s: want a number from 1 to 2147483647", args[0])}
		}
		p := v.Get(pid)
		if p == nil {
			return nil, noProcess(v, pid)
		}
		return []*proc.Process{p}, nil
	}
	return namedRoots(v, args[0])
}

// namedRoots are the processes with a name, but for those that descend from one
// that has it too, as they are in its picture, and for this command.
func namedRoots(v *view, name string) (roots []*proc.Process, err error) {
	found := map[int]bool{}
	for i := range v.Processes {
		p := &v.Processes[i]
		if p.PID != os.Getpid() && goesBy(p, name) {
			found[p.PID] = true
		}
	}
	for i := range v.Processes {
		p := &v.Processes[i]
		if !found[p.PID] {
			continue
		}
		below := false
		for _, a := range v.Ancestors(p.PID) {
			below = below || found[a.PID]
		}
		if !below {
			roots = append(roots, p)
		}
	}
	if len(roots) == 0 {
		return nil, refusalError{hinted{
			fmt.Errorf("no process is called %q: want a PID, or a name, in which * stands for any characters", name),
			"foster ps --all lists all processes",
		}}
	}
	return roots, nil
}

// planting makes a tree of a view. Each process stands in it once, also where the
// snapshot has a circle since a parent changed while it was taken.
type planting struct {
	view   *view
	kernel bool // with the kernel's threads
	seen   map[int]bool
}

// children are those of a process that weren't shown.
func (t *planting) children(pid int) (list []*proc.Process) {
	for _, p := range t.view.Children(pid) {
		if t.shows(p) {
			list = append(list, p)
		}
	}
	return list
}

func (t *planting) shows(p *proc.Process) bool {
	if t.seen[p.PID] || p.Kernel && !t.kernel {
		return false
	}
	t.seen[p.PID] = true
	return true
}

// nested are trees for JSON.
func (t *planting) nested(roots []*proc.Process) []*psProcess {
	list := []*psProcess{}
	t.each(roots, func(p *proc.Process) {
		list = append(list, t.nest(p))
	})
	return list
}

func (t *planting) nest(p *proc.Process) *psProcess {
	d := describeProcess(t.view, p)
	d.Children = []*psProcess{}
	for _, kid := range t.children(p.PID) {
		d.Children = append(d.Children, t.nest(kid))
	}
	return d
}

// each goes through the roots that are shown: a thread of the kernel that was asked
// for by its number is.
func (t *planting) each(roots []*proc.Process, do func(p *proc.Process)) {
	if len(roots) == 1 && roots[0].Kernel {
		t.kernel = true
	}
	for _, p := range roots {
		if t.shows(p) {
			do(p)
		}
	}
}

// picture draws trees.
func (t *planting) picture(roots []*proc.Process) (lines [][]piece) {
	t.each(roots, func(p *proc.Process) {
		lines = append(lines, t.line("", p))
		lines = t.draw(lines, "", p.PID)
	})
	return lines
}

func (t *planting) draw(lines [][]piece, before string, pid int) [][]piece {
	kids := t.children(pid)
	for i, p := range kids {
		own, below := branches(i == len(kids)-1)
		lines = append(lines, t.line(before+own, p))
		lines = t.draw(lines, before+below, p.PID)
	}
	return lines
}

// branches are what stands before a process, and before what is below it.
func branches(last bool) (own, below string) {
	if last {
		return "└─ ", "   "
	}
	return "├─ ", "│  "
}

func (t *planting) line(branch string, p *proc.Process) []piece {
	line := []piece{{branch, faint}, {strconv.Itoa(p.PID) + " ", bold}}
	marks := t.view.marks(p)
	if marks != "" {
		line = append(line, piece{"(" + strings.ReplaceAll(marks, " ", ", ") + ") ", markColour(marks)})
	}
	return append(line, piece{command(p), markColour(marks)})
}

// forest puts the children of each row behind it, as far as they're among the rows,
// with a picture before their commands.
func forest(rows []*psRow) []*psRow {
	listed, below := map[int]bool{}, map[int][]*psRow{}
	for _, r := range rows {
		listed[r.PID] = true
	}
	var roots []*psRow
	for _, r := range rows {
		if listed[r.PPID] && r.PPID != r.PID {
			below[r.PPID] = append(below[r.PPID], r)
		} else {
			roots = append(roots, r)
		}
	}
	ordered := make([]*psRow, 0, len(rows))
	seen := map[int]bool{}
	var add func(r *psRow, before, own, next string)
	add = func(r *psRow, before, own, next string) {
		if seen[r.PID] {
			return
		}
		seen[r.PID] = true
		r.branch = before + own
		ordered = append(ordered, r)
		kids := below[r.PID]
		for i, k := range kids {
			own, deeper := branches(i == len(kids)-1)
			add(k, before+next, own, deeper)
		}
	}
	for _, r := range roots {
		add(r, "", "", "")
	}
	for _, r := range rows { // of a circle, which has no root
		add(r, "", "", "")
	}
	return ordered
}
