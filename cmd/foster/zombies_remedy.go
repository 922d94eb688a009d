package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// remedy is foster zombies with --nudge or --reap-by-ending-parent.
type remedy struct {
	nudge, yes            bool
	parent, patience      string
	stopSignal, stopAfter string

	stdin          *os.File
	stdout, stderr io.Writer
	form           string
	observe        time.Duration
}

func (r *remedy) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.BoolVar(&r.nudge, "nudge", false, "send SIGCHLD to the parents with these PIDs, or, with --all, to all, and report what was reaped")
	fl.StringVar(&r.parent, "reap-by-ending-parent", "", "end the parent `PID`, so that its zombies are adopted and reaped")
	fl.StringVar(&r.patience, "wait", "2s", "how long to wait for the zombies to go")
	fl.BoolVarP(&r.yes, "yes", "y", false, "don't ask")
	stopPlanFlags(cmd, &r.stopSignal, &r.stopAfter)
	_ = cmd.RegisterFlagCompletionFunc("reap-by-ending-parent", completeParents)
}

// remedied is what became of the zombies of one parent.
type remedied struct {
	Parent int    `json:"parent_pid"`
	Name   string `json:"parent_name,omitempty"`
	Reaped []int  `json:"reaped"`
	Left   []int  `json:"left"`
	Error  string `json:"error,omitempty"`
}

// nudgeParents sends SIGCHLD, which does no harm to who doesn't expect it: without a
// handler it's ignored.
func (r *remedy) nudgeParents(ctx context.Context, args []string) error {
	patience, err := parseTime("--wait", r.patience)
	if err != nil {
		return usageError{err}
	}
	h, list, err := findZombies(r.observe)
	if err != nil {
		return err
	}
	if list, err = h.pickParents(list, args); err != nil {
		return err
	}
	sent := make([]error, len(list))
	for i, n := range list {
		if n.of.Parent == nil {
			sent[i] = errors.New("it isn't shown")
		} else {
			sent[i] = n.of.Parent.ID().Signal(syscall.SIGCHLD)
		}
	}
	over := time.Now().Add(patience)
	results := []remedied{}
	for i, n := range list {
		one := remedied{Parent: n.Parent, Name: n.Name}
		if sent[i] != nil {
			one.Error = sent[i].Error()
		}
		one.Reaped, one.Left = awaitReaped(ctx, n.of.Zombies, over)
		results = append(results, one)
	}
	return r.report(results)
}

// pickParents picks the parents that were named, by their own number or by that of a
// zombie.
func (h *host) pickParents(list []neglect, args []string) ([]neglect, error) {
	if len(args) == 0 {
		return list, nil
	}
	var picked []neglect
	for _, text := range args {
		p, err := h.process(text)
		if err != nil {
			return nil, err
		}
		pid := p.PID
		if p.Zombie() {
			pid = p.PPID
		}
		i := slices.IndexFunc(list, func(n neglect) bool { return n.Parent == pid })
		if i < 0 {
			return nil, refusalError{hinted{fmt.Errorf("%s has no zombies", called(p)), "foster zombies lists the parents that have"}}
		}
		picked = append(picked, list[i])
	}
	return picked, nil
}

// awaitReaped waits until the zombies are gone or the time is over. A pidfd tells of the
// end of a process, which was before, and not that it was reaped; so this looks.
func awaitReaped(ctx context.Context, zombies []proc.Zombie, over time.Time) (reaped, left []int) {
	reaped, left = []int{}, []int{}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, z := range zombies {
		for isThere(z.ID()) {
			if time.Now().After(over) || ctx.Err() != nil {
				break
			}
			<-tick.C
		}
		if isThere(z.ID()) {
			left = append(left, z.PID)
		} else {
			reaped = append(reaped, z.PID)
		}
	}
	return reaped, left
}

func isThere(id proc.ID) bool {
	now, err := proc.IDOf(id.PID)
	return err == nil && now == id
}

func (r *remedy) report(results []remedied) error {
	left := false
	for _, one := range results {
		left = left || len(one.Left) > 0
		if r.form != "json" {
			fmt.Fprintln(r.stdout, one.line())
		}
	}
	if r.form == "json" {
		if err := writeJSON(r.stdout, results); err != nil {
			return err
		}
	} else if len(results) == 0 {
		fmt.Fprintln(r.stdout, "no zombies")
	}
	if !left {
		return nil
	}
	if r.nudge && r.form != "json" {
		i := slices.IndexFunc(results, func(one remedied) bool { return len(one.Left) > 0 })
		if pid := results[i].Parent; pid == 1 {
			fmt.Fprintln(r.stdout, "hint: run the container with foster init, or docker run --init: its first process doesn't reap")
		} else {
			fmt.Fprintf(r.stdout, "hint: the last resort: foster zombies --reap-by-ending-parent %d\n", pid)
		}
	}
	return statusError(exitSurvivors)
}

func (o remedied) line() string {
	who := fmt.Sprintf("%s (pid %d)", printable(o.Name), o.Parent)
	switch {
	case o.Error != "" && len(o.Left) > 0:
		return fmt.Sprintf("%s: %s; %s left", who, printable(o.Error), count(len(o.Left), "zombie"))
	case len(o.Left) == 0:
		return fmt.Sprintf("%s: %s reaped, none left", who, count(len(o.Reaped), "zombie"))
	}
	return fmt.Sprintf("%s: %s reaped, %d left", who, count(len(o.Reaped), "zombie"), len(o.Left))
}

// endParent ends a parent, and proves that its zombies were reaped by who adopted them.
func (r *remedy) endParent(ctx context.Context) error {
	sig, wait, err := stopPlan(r.stopSignal, r.stopAfter)
	if err != nil {
		return err
	}
	patience, err := parseTime("--wait", r.patience)
	if err != nil {
		return usageError{err}
	}
	if _, err := parsePID(r.parent); err != nil {
		return usageError{flagError("reap-by-ending-parent", err)}
	}
	h, list, err := findZombies(r.observe)
	if err != nil {
		return err
	}
	n, err := h.parentToEnd(list, r.parent)
	if err != nil {
		return err
	}
	parent := n.of.Parent
	adopter := h.adopter(parent.PID)
	if err := agree(r.stdin, r.stderr, r.yes, fmt.Sprintf("end %s? %s", called(parent), h.consequences(parent, adopter))); err != nil {
		return err
	}
	if r.yes {
		fmt.Fprintln(r.stderr, "foster: ending "+called(parent)+": "+h.consequences(parent, adopter))
	}
	one := remedied{Parent: n.Parent, Name: n.Name}
	if err := endOne(ctx, parent.ID(), sig, wait); err != nil {
		one.Error = err.Error()
	}
	one.Reaped, one.Left = awaitReaped(ctx, n.of.Zombies, time.Now().Add(patience))
	err = r.report([]remedied{one})
	if err != nil && one.Error == "" && r.form != "json" {
		fmt.Fprintln(r.stdout, h.notReaped(n.of.Zombies, one.Left))
	}
	return err
}

// parentToEnd finds the parent, and refuses where it isn't to be ended.
func (h *host) parentToEnd(list []neglect, text string) (neglect, error) {
	p, err := h.process(text)
	if err != nil {
		return neglect{}, err
	}
	if p.Zombie() {
		return neglect{}, refusalError{hinted{
			fmt.Errorf("%s is a zombie itself: it's the parent that can be ended", called(p)),
			fmt.Sprintf("foster zombies --reap-by-ending-parent %d", p.PPID),
		}}
	}
	if p.PID == 1 {
		return neglect{}, refusalError{hinted{
			errors.New("process 1 is not ended: all others end with it"),
			"run the container with foster init, or docker run --init: then what it adopts is reaped",
		}}
	}
	if why := h.spared(p); why != "" {
		return neglect{}, refusalError{fmt.Errorf("%s is %s: it is not ended", called(p), why)}
	}
	for _, d := range append([]*proc.Process{p}, h.table.Descendants(p.PID)...) {
		if c := h.custody(d.PID); c != nil {
			return neglect{}, refusalError{c.held(called(d))}
		}
	}
	if err := allowed(p); err != nil {
		return neglect{}, refusalError{err}
	}
	picked, err := h.pickParents(list, []string{text})
	if err != nil {
		return neglect{}, err
	}
	return picked[0], nil
}

// consequences say what else happens when a parent is ended.
func (h *host) consequences(parent, adopter *proc.Process) string {
	if parent.Knows(proc.Namespaces) && parent.InnerPID == 1 {
		all := h.table.Descendants(parent.PID)
		return fmt.Sprintf("it is the first process of a container: the kernel ends all of it, %s", count(len(all), "more process"))
	}
	var living []*proc.Process
	for _, c := range h.table.Children(parent.PID) {
		if !c.Zombie() {
			living = append(living, c)
		}
	}
	if len(living) == 0 {
		return "it has no living children"
	}
	line := fmt.Sprintf("%s of it live on as %s: %s", plural(len(living), "a child", fmt.Sprintf("%d children", len(living))),
		plural(len(living), "an orphan", "orphans"), calledAll(living))
	if len(living) == 1 {
		line = "a child of it lives on as an orphan: " + calledAll(living)
	}
	if adopter != nil {
		line += fmt.Sprintf("; %s adopts", called(adopter))
	}
	return line
}

// notReaped says who has the zombies now.
func (h *host) notReaped(zombies []proc.Zombie, left []int) string {
	for _, z := range zombies {
		if !slices.Contains(left, z.PID) {
			continue
		}
		now, err := proc.Read(z.PID, 0)
		if err != nil || now.ID() != z.ID() || now.PPID == z.PPID {
			continue
		}
		line := fmt.Sprintf("%s has adopted them, and doesn't reap either", h.calledPID(now.PPID))
		if now.PPID == 1 {
			line += "\nhint: run the container with foster init, or docker run --init: then what it adopts is reaped"
		}
		return line
	}
	return "the parent hasn't ended"
}

// endOne ends one process and nobody else, in the orderly way.
func endOne(ctx context.Context, id proc.ID, sig syscall.Signal, wait time.Duration) error {
	handle, err := id.Open()
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer handle.Close()
	if wait > 0 {
		if err := signalAndWait(ctx, id, handle, sig, wait); err == nil || ctx.Err() != nil || errors.Is(err, os.ErrPermission) {
			return err
		}
	}
	return signalAndWait(ctx, id, handle, syscall.SIGKILL, giveUp)
}

// signalAndWait continues a process that is stopped: it would act on the signal only then.
func signalAndWait(ctx context.Context, id proc.ID, handle *proc.Handle, sig syscall.Signal, wait time.Duration) error {
	if err := handle.Signal(sig); err != nil && !errors.Is(err, proc.ErrGone) {
		return err
	}
	if procfs.MayBeStopped(id.PID) {
		_ = handle.Signal(syscall.SIGCONT) // it may have ended
	}
	ctx, cancel := context.WithTimeoutCause(ctx, wait, errStillThere)
	defer cancel()
	return handle.Wait(ctx)
}

var errStillThere = errors.New("it hasn't ended")

func signalEnd(sig int) string { return "killed by " + units.SignalName(syscall.Signal(sig)) }
