package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
	"github.com/foster-init/foster/proc"
)

// stopping is foster orphans --stop.
type stopping struct {
	stop, yes       bool
	signal, timeout string

	stdin          *os.File
	stdout, stderr io.Writer
	form           string
}

func (s *stopping) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&s.stop, "stop", false, "end the orphans with these PIDs, or, with --all, all certain ones of this user")
	fl.BoolVarP(&s.yes, "yes", "y", false, "don't ask")
	stopPlanFlags(cmd, &s.signal, &s.timeout)
}

// stopPlanFlags adds the flags of an orderly stop.
func stopPlanFlags(cmd *cobra.Command, signal, timeout *string) {
	cmd.Flags().StringVar(signal, "stop-signal", "TERM", "the first signal of a stop")
	cmd.Flags().StringVar(timeout, "stop-timeout", "10s", "how long a stop waits before SIGKILL; 0: not at all")
	_ = cmd.RegisterFlagCompletionFunc("stop-signal", cobra.FixedCompletions(
		[]string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL"}, cobra.ShellCompDirectiveNoFileComp))
}

// stopPlan reads the flags of an orderly stop.
func stopPlan(signal, timeout string) (syscall.Signal, time.Duration, error) {
	sig, err := units.Signal(signal)
	if err != nil {
		return 0, 0, usageError{flagError("stop-signal", err)}
	}
	wait, err := units.Duration(timeout)
	if err != nil {
		return 0, 0, usageError{flagError("stop-timeout", err)}
	}
	return sig, wait, nil
}

// giveUp is how long SIGKILL may take before what is left is told.
const giveUp = 5 * time.Second

// orphanTree is an orphan with all that is proven to be below it.
type orphanTree struct {
	process   *proc.Process
	lost      contain.Lost
	found     []procfs.Stat
	survivors []procfs.Stat
	err       error
}

func (s *stopping) run(ctx context.Context, args []string) error {
	sig, wait, err := stopPlan(s.signal, s.timeout)
	if err != nil {
		return err
	}
	h, err := takeHost(orphanFields)
	if err != nil {
		return err
	}
	chosen, err := h.choose(args)
	if err != nil {
		return err
	}
	trees, err := h.orphanTrees(chosen, len(args) > 0, s.stderr)
	if err != nil {
		return err
	}
	if len(trees) == 0 && len(args) > 0 {
		return refusalError{errors.New("nothing to end: it has ended meanwhile")}
	}
	if len(trees) == 0 {
		return s.report(trees)
	}
	if err := agree(s.stdin, s.stderr, s.yes, question(trees)); err != nil {
		return err
	}
	if !s.yes { // while it was asked, a foster may have been started among them
		if h, err = takeHost(orphanFields); err == nil {
			trees, err = h.orphanTrees(chosen, len(args) > 0, s.stderr)
		}
		if err != nil {
			return err
		}
	}
	plan := wire.Plan{GiveUp: giveUp}
	if wait > 0 {
		plan.Steps = []wire.Step{{Signal: sig, Wait: wait}}
	}
	ctx, calm := interruptible(ctx)
	defer calm()
	for i := range trees {
		_, trees[i].survivors, _, trees[i].err = trees[i].lost.End(ctx, plan)
	}
	return s.report(trees)
}

// choose finds the processes to end: those that were named, or, without names, all. A
// process that was named is refused for a reason. Of all, only the certain orphans of this
// user are chosen: root doesn't end those of other users, nor those in a container.
func (h *host) choose(args []string) (chosen []*proc.Process, err error) {
	if len(args) == 0 {
		own := h.table.Get(os.Getpid())
		for _, o := range h.orphans(false) {
			p := o.process
			if o.verdict == proc.Certain && h.adoptsForAll(o.AdoptedBy) && p.Knows(proc.Owner) && p.UID == os.Geteuid() &&
				(own == nil || p.PIDNamespace == own.PIDNamespace) {
				chosen = append(chosen, p)
			}
		}
		return chosen, nil
	}
	for _, text := range args {
		p, err := h.process(text)
		if err != nil {
			return nil, err
		}
		if err := h.mayEnd(p); err != nil {
			return nil, refusalError{err}
		}
		chosen = append(chosen, p)
	}
	return chosen, nil
}

// adoptsForAll says that who adopted an orphan did so since somebody has to. Another
// subreaper may have meant to: a supervisor, say.
func (h *host) adoptsForAll(pid int) bool {
	p := h.table.Get(pid)
	return pid == 1 || p != nil && p.Name == "systemd"
}

// mayEnd is the reason why a process that was named isn't ended.
func (h *host) mayEnd(p *proc.Process) error {
	if why := h.spared(p); why != "" {
		return fmt.Errorf("%s is %s: it is not ended", called(p), why)
	}
	if c := h.custody(p.PID); c != nil {
		return c.held(called(p))
	}
	if p.Zombie() {
		return hinted{fmt.Errorf("%s is a zombie: it has ended, and only its parent, %d, can reap it", called(p), p.PPID), "foster zombies"}
	}
	if isFoster(p) {
		return h.fosterKept(p)
	}
	o := h.table.Orphan(p.PID)
	if o.Verdict == proc.No {
		hint := fmt.Sprintf("foster explain %d tells more", p.PID)
		if root := h.orphanAbove(p); root != nil {
			hint = fmt.Sprintf("it belongs to an orphan, %s: foster orphans --stop %d ends both", called(root), root.PID)
		}
		return hinted{fmt.Errorf("%s is no orphan: %s", called(p), strings.Join(o.Reasons, "; ")), hint}
	}
	return allowed(p)
}

// orphanTrees finds what is below those who are chosen. A tree in which there is
// somebody who is in custody, or above this process, isn't touched.
func (h *host) orphanTrees(chosen []*proc.Process, named bool, stderr io.Writer) (trees []orphanTree, err error) {
	for _, p := range chosen {
		t := orphanTree{process: p, lost: contain.Lost{
			Containment: wire.Subreaper, Members: []wire.Member{{PID: p.PID, Start: p.ID().Start, Name: p.Name}},
		}}
		t.found, _, err = t.lost.Find()
		if errors.Is(err, contain.ErrInside) {
			err = fmt.Errorf("this command runs below %s: it is not ended", called(p))
		}
		for _, s := range t.found {
			if c := h.custody(s.PID); c != nil && err == nil {
				err = c.held(fmt.Sprintf("%s (pid %d), which belongs to %s,", printable(s.Comm), s.PID, called(p)))
			}
		}
		switch {
		case err != nil && named:
			return nil, refusalError{err}
		case err != nil:
			fmt.Fprintln(stderr, "foster: "+printable(err.Error())+": passed over")
		case len(t.found) > 0:
			trees = append(trees, t)
		}
	}
	return trees, nil
}

// question tells whom it is about.
func question(trees []orphanTree) string {
	var names []string
	total := 0
	for _, t := range trees {
		total += len(t.found)
		names = append(names, statNames(t.found))
	}
	return fmt.Sprintf("end %s: %s?", count(total, "process"), strings.Join(names, "; "))
}

func statNames(list []procfs.Stat) string {
	const most = 8
	var names []string
	for _, s := range list[:min(len(list), most)] {
		names = append(names, fmt.Sprintf("%s (pid %d)", printable(s.Comm), s.PID))
	}
	if more := len(list) - len(names); more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

type endedOrphan struct {
	PID       int      `json:"pid"`
	Name      string   `json:"name"`
	Found     []member `json:"found"`
	Ended     bool     `json:"ended"`
	Survivors []member `json:"survivors,omitempty"`
	Error     string   `json:"error,omitempty"`
}

// report says what became of them.
func (s *stopping) report(trees []orphanTree) error {
	list, status := []endedOrphan{}, error(nil)
	for _, t := range trees {
		one := endedOrphan{PID: t.process.PID, Name: t.process.Name, Found: statMembers(t.found), Survivors: statMembers(t.survivors)}
		one.Ended = t.err == nil && len(t.survivors) == 0
		if t.err != nil {
			one.Error = t.err.Error()
		}
		if !one.Ended {
			status = statusError(exitSurvivors)
		}
		list = append(list, one)
		if s.form != "json" {
			fmt.Fprintln(s.stdout, t.line())
		}
	}
	if s.form == "json" {
		if err := writeJSON(s.stdout, list); err != nil {
			return err
		}
	} else if len(trees) == 0 {
		fmt.Fprintln(s.stdout, "nothing to end: there is no orphan of this user of which it is certain")
	}
	return status
}

func (t orphanTree) line() string {
	switch {
	case len(t.survivors) > 0:
		return fmt.Sprintf("%s: couldn't be ended: %s", called(t.process), statNames(t.survivors))
	case t.err != nil:
		return fmt.Sprintf("%s: %s", called(t.process), printable(t.err.Error()))
	}
	return fmt.Sprintf("%s: nothing is left: ended %s", called(t.process), statNames(t.found))
}

func statMembers(list []procfs.Stat) []member {
	members := []member{}
	for _, s := range list {
		members = append(members, member{PID: s.PID, Name: s.Comm})
	}
	return members
}
