package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// psFlags are the flags of foster ps, as they were typed.
type psFlags struct {
	all, jobs, long, forest bool
	output, sort, watch     string
	users, names, states    []string
	tree                    string
}

// psPlan is what they ask for.
type psPlan struct {
	columns []psColumn
	json    bool
	forest  bool
	order   []sortKey
	choose  chooser
	every   time.Duration // 0: once
	needs   proc.Fields
}

// sortKey is a column that rows are sorted by.
type sortKey struct {
	column     psColumn
	descending bool
}

// newPs is foster ps.
func newPs(stdout *os.File) *cobra.Command {
	var f psFlags
	cmd := &cobra.Command{
		Use:   "ps [flags]",
		Short: "List processes, with those marked that need attention",
		Long: `List the processes of this user, of root all of them, without the threads of the
kernel. A flag that chooses, as --name, chooses from those of all users.

  foster ps -j                     with group, session and job control
  foster ps -l                     with flags, priority, size and what it waits for
  foster ps -o pid,ports,args      with these columns
  foster ps --state zombie         zombies
  foster ps --sort -mem --watch    the largest first, again each 2s`,
		Args: psArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			plan, err := f.plan(stdout)
			if err != nil {
				return usageError{err}
			}
			if plan.every > 0 {
				return watchPs(cmd.Context(), stdout, plan)
			}
			return plan.show(stdout)
		},
	}
	f.add(cmd)
	return cmd
}

func (f *psFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SortFlags = false
	fl.BoolVarP(&f.all, "all", "a", false, "those of all users, and the threads of the kernel")
	fl.BoolVarP(&f.jobs, "jobs", "j", false, "the columns "+strings.ToUpper(strings.Join(psJobs, " ")))
	fl.BoolVarP(&f.long, "long", "l", false, "the columns of ps -l")
	fl.StringVarP(&f.output, "output", "o", "text", "how to print: text, json, or `COL[,COL]`: these columns")
	fl.StringVar(&f.sort, "sort", "pid", "sort by `COL[,COL]`; with - before it the largest first")
	fl.StringArrayVar(&f.users, "user", nil, "only those of `USER[,USER]`, by name or number")
	fl.StringArrayVar(&f.names, "name", nil, "only those called `NAME`, in which * and ? stand for any characters")
	fl.StringArrayVar(&f.states, "state", nil, "only those in `STATE[,STATE]`: a word, as zombie, or letters, as DZ")
	fl.StringVar(&f.tree, "tree", "", "only `PID` and what descends from it")
	fl.BoolVar(&f.forest, "forest", false, "children below their parents, as a picture")
	fl.StringVar(&f.watch, "watch", "", "show it again each `INTERVAL`, until Ctrl-C")
	fl.Lookup("watch").NoOptDefVal = "2s"
	f.complete(cmd)
}

// psArguments says what was meant where ps's own way of writing flags was used.
func psArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "foster ps --help lists the flags"
	switch {
	case cmd.Flags().Changed("watch"):
		hint = "foster ps --watch=" + args[0]
	case strings.Trim(args[0], "aux") == "" || args[0] == "ax" || args[0] == "ef":
		hint = "foster ps --all"
	case strings.Trim(args[0], "0123456789") == "":
		hint = "foster ps --tree " + args[0]
	}
	return usageError{hinted{fmt.Errorf("foster ps takes no argument: got %q", args[0]), hint}}
}

// plan understands the flags.
func (f *psFlags) plan(stdout *os.File) (plan psPlan, err error) {
	if err := f.planColumns(&plan); err != nil {
		return plan, err
	}
	if plan.order, err = sortKeys(f.sort); err != nil {
		return plan, flagError("sort", err)
	}
	if plan.choose, err = f.chooser(); err != nil {
		return plan, err
	}
	plan.forest = f.forest
	if plan.every, err = f.interval(stdout, plan.json); err != nil {
		return plan, flagError("watch", err)
	}
	for _, c := range plan.columns {
		plan.needs |= c.needs
	}
	for _, k := range plan.order {
		plan.needs |= k.column.needs
	}
	if plan.json {
		plan.needs |= jsonNeeds
	}
	return plan, nil
}

func (f *psFlags) planColumns(plan *psPlan) (err error) {
	names, given := psPeople, 0
	if f.jobs {
		names, given = psJobs, given+1
	}
	if f.long {
		names, given = psLong, given+1
	}
	switch f.output {
	case "text":
	case "json":
		plan.json = true
	default:
		names, given = strings.Split(f.output, ","), given+1
	}
	if given > 1 {
		return errors.New("-j, -l and -o COL,… exclude each other: each says which columns to show")
	}
	if plan.columns, err = findColumns(names); err != nil {
		return flagError("output", err)
	}
	return nil
}

func sortKeys(text string) (keys []sortKey, err error) {
	for _, name := range strings.Split(text, ",") {
		bare, descending := strings.CutPrefix(name, "-")
		c, err := findColumn(strings.TrimPrefix(bare, "+"))
		if err != nil {
			return nil, err
		}
		keys = append(keys, sortKey{c, descending})
	}
	return keys, nil
}

func (f *psFlags) interval(stdout *os.File, json bool) (time.Duration, error) {
	if f.watch == "" {
		return 0, nil
	}
	every, err := units.Duration(f.watch)
	switch {
	case err != nil:
		return 0, err
	case every < 100*time.Millisecond:
		return 0, fmt.Errorf("%q is too short: want 100ms at least", f.watch)
	case json:
		return 0, errors.New("json is printed once, not watched")
	case !sys.IsTerminal(stdout):
		return 0, errors.New("it redraws a terminal, and standard output isn't one")
	}
	return every, nil
}

// show prints the processes once.
func (plan *psPlan) show(stdout *os.File) error {
	rows, err := plan.rows()
	if err != nil {
		return err
	}
	if plan.json {
		list := make([]*psProcess, len(rows))
		for i, r := range rows {
			list[i] = describeProcess(r.view, r.Process)
		}
		return writeJSON(stdout, list)
	}
	return canvasOf(stdout).write(stdout, plan.lines(rows))
}

// rows are the processes that were asked for, in their order.
func (plan *psPlan) rows() ([]*psRow, error) {
	v, err := newView(plan.needs)
	if err != nil {
		return nil, err
	}
	chosen, err := plan.choose.from(v)
	if err != nil {
		return nil, err
	}
	rows := make([]*psRow, len(chosen))
	for i, p := range chosen {
		rows[i] = &psRow{Process: p, view: v}
	}
	slices.SortStableFunc(rows, plan.compare)
	if plan.forest {
		rows = forest(rows)
	}
	return rows, nil
}

func (plan *psPlan) compare(a, b *psRow) int {
	for _, k := range plan.order {
		if n := k.column.compare(a, b, k.descending); n != 0 {
			return n
		}
	}
	return 0
}

func (plan *psPlan) lines(rows []*psRow) [][]piece {
	var g grid
	for _, c := range plan.columns {
		g.heads = append(g.heads, c.head)
		g.right = append(g.right, c.right)
	}
	for _, r := range rows {
		tone := markColour(r.view.marks(r.Process))
		cells := make([]piece, len(plan.columns))
		for i, c := range plan.columns {
			cells[i] = piece{text: c.text(r), colour: tone}
		}
		g.rows = append(g.rows, cells)
	}
	return g.lines()
}

// watchPs shows the processes again and again, until Ctrl-C.
func watchPs(ctx context.Context, stdout *os.File, plan psPlan) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(plan.every)
	defer tick.Stop()
	const clear = "\x1b[H\x1b[2J"
	if _, err := io.WriteString(stdout, clear); err != nil {
		return err
	}
	for {
		if err := plan.redraw(stdout); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
			// What was shown may have been wrapped.
			if _, err := io.WriteString(stdout, clear); err != nil {
				return err
			}
		case <-tick.C:
		}
	}
}

// redraw shows them over what was shown before, in one write, so that nothing
// flickers; what doesn't fit below isn't shown.
func (plan *psPlan) redraw(stdout *os.File) error {
	rows, err := plan.rows()
	if err != nil {
		return err
	}
	c, lines := canvasOf(stdout), plan.lines(rows)
	if c.rows > 1 && len(lines) > c.rows-1 {
		lines = lines[:c.rows-1]
	}
	var b strings.Builder
	b.WriteString("\x1b[H") // to the first place of the screen
	for _, l := range lines {
		b.WriteString(c.line(l) + "\x1b[K\n") // the rest of the line is of before
	}
	b.WriteString("\x1b[J") // and so is all below
	_, err = io.WriteString(stdout, b.String())
	return err
}
