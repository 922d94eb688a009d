package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// finding is one thing that doctor has looked at; the keys of its JSON are kept.
type finding struct {
	Name string `json:"name"`
	// State is ok, no (can't be had here), or info.
	State string `json:"state"`
	Value string `json:"value,omitempty"`
	Why   string `json:"why,omitempty"`
	Hint  string `json:"hint,omitempty"`
}

// diagnosis is all that doctor has found.
type diagnosis struct {
	OK           bool      `json:"ok"`
	Auto         string    `json:"auto,omitempty"`
	Containments []finding `json:"containments"`
	System       []finding `json:"system"`
	Limits       []finding `json:"limits"`
	Orphans      finding   `json:"orphans"`
	Folders      []finding `json:"folders"`
}

const (
	stateOK   = "ok"
	stateNo   = "no"
	stateInfo = "info"
)

// newDoctor is foster doctor.
func newDoctor(stdout io.Writer) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "doctor [flags]",
		Short: "Say what custody this host gives to this user, and what is missing",
		Long: `Try each containment by using it, look at the kernel, the cgroups, the limits and
foster's folders, and try whether orphans are reaped here. For what can't be had, say
why, and what would help.`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			d := diagnose(cmd.Context())
			err := error(nil)
			if form == "json" {
				err = writeJSON(stdout, d)
			} else {
				err = d.write(stdout)
			}
			if err == nil && !d.OK {
				err = statusError(exitRefused)
			}
			return err
		},
	}
	outputFlag(cmd, &form)
	cmd.AddCommand(newOrphanProbe(stdout))
	return cmd
}

func diagnose(ctx context.Context) diagnosis {
	d := diagnosis{Containments: []finding{}}
	// First of all, since what is started for the containments is none of its.
	d.Orphans = tryOrphan(ctx)
	d.OK = true
	for _, c := range []foster.Containment{foster.Auto, foster.Group, foster.Subreaper, foster.Cgroup, foster.PIDNS} {
		f, reached := tryContainment(ctx, c)
		if c == foster.Auto {
			d.Auto, d.OK = string(reached), f.State == stateOK
		}
		d.Containments = append(d.Containments, f)
	}
	d.System = systemFindings()
	d.Limits = append(tryLimits(ctx), limitFindings()...)
	d.Folders = folderFindings()
	for _, f := range append(d.Folders, d.System...) {
		d.OK = d.OK && f.State != stateNo
	}
	return d
}

// tryContainment runs this program in it, to print its version.
func tryContainment(ctx context.Context, c foster.Containment) (finding, foster.Containment) {
	f := finding{Name: string(c), State: stateOK, Value: containmentWords[c]}
	reached, err := try(ctx, func(cmd *foster.Cmd) { cmd.Containment = c })
	if err != nil {
		f.State, f.Why, f.Hint = stateNo, units.ErrorText(err), containmentHints[c]
		return f, ""
	}
	if c == foster.Auto {
		f.Value = "takes " + string(reached)
	}
	return f, reached
}

// try runs this program, to print its version, and says how it was contained.
func try(ctx context.Context, set func(*foster.Cmd)) (reached foster.Containment, err error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := foster.CommandContext(ctx, path, "version")
	cmd.Args[0] = os.Args[0]
	set(cmd)
	tree, err := cmd.Start()
	if err == nil {
		reached = tree.Containment()
		_, err = tree.Wait()
	}
	if start, ok := errors.AsType[*foster.StartError](err); ok {
		err = start.Err // it isn't this program that was asked for
	}
	if err != nil {
		err = errors.New(units.ErrorText(err))
	}
	return reached, err
}

// tryLimits says which limits of a tree can be had.
func tryLimits(ctx context.Context) (list []finding) {
	for _, l := range []struct {
		name  string
		limit foster.Limits
	}{
		{"memory", foster.Limits{Memory: 1 << 30}}, {"cpus", foster.Limits{CPU: 1}}, {"pids", foster.Limits{PIDs: 1000}},
	} {
		f := finding{Name: "--" + l.name, State: stateOK, Value: "the whole tree can be limited"}
		if _, err := try(ctx, func(cmd *foster.Cmd) { cmd.Limits = l.limit }); err != nil {
			f.State, f.Why = stateNo, err.Error()
		}
		list = append(list, f)
	}
	return list
}

var containmentWords = map[foster.Containment]string{
	foster.Group:     "a process group: loses what leaves it",
	foster.Subreaper: "holds all descendants",
	foster.Cgroup:    "holds all descendants, and ends them in one go",
	foster.PIDNS:     "the kernel ends all with the first process",
}

var containmentHints = map[foster.Containment]string{
	foster.Auto:      "it takes cgroup or subreaper, whose lines say what each lacks",
	foster.Group:     "/proc of this PID namespace: " + mountProc,
	foster.Subreaper: "Linux 5.3 or newer, and /proc of this PID namespace: " + mountProc,
	foster.Cgroup:    "systemd-run --user --scope -p Delegate=yes foster run -- …; in a container, a cgroup namespace of its own, mounted read-write",
	foster.PIDNS: "as root, or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, " +
		"kernel.apparmor_restrict_unprivileged_userns",
}

// folderFindings makes foster's folders where they aren't there, as foster run would.
func folderFindings() []finding {
	state, run, err := journal.Folders()
	if err != nil {
		return []finding{{Name: "folders", State: stateNo, Why: err.Error(), Hint: "set XDG_STATE_HOME and XDG_RUNTIME_DIR to folders of your own"}}
	}
	list := []finding{{Name: "journal", State: stateOK, Value: state}, {Name: "sockets", State: stateOK, Value: run}}
	found, problems, err := journal.Scan(state)
	if err != nil {
		list[0].State, list[0].Why = stateNo, err.Error()
		return list
	}
	living, lost := 0, 0
	for _, f := range found {
		switch f.State {
		case journal.Living:
			living++
		case journal.Lost:
			lost++
		}
	}
	list[0].Value += fmt.Sprintf(" (%d living, %d lost)", living, lost)
	if lost > 0 {
		list[0].Hint = "foster recover ends what is left of lost trees"
	}
	for _, p := range problems {
		list = append(list, finding{Name: "entry", State: stateInfo, Value: p.Path, Why: p.Err.Error()})
	}
	return list
}

// systemFindings are the kernel, /proc and the cgroups.
func systemFindings() []finding {
	list := []finding{{Name: "kernel", State: stateInfo, Value: runtime.GOOS + " " + kernelRelease()}}
	err := ownProc()
	t := &proc.Table{}
	if err == nil {
		t, err = proc.Take(0)
	}
	switch {
	case err != nil:
		list = append(list, finding{Name: "process table", State: stateNo, Why: err.Error(), Hint: mountProc})
	case t.Hidden:
		list = append(list, finding{
			Name: "process table", State: stateOK, Value: "only this user's processes are shown (hidepid)",
			Hint: "foster orphans and foster zombies see all as root",
		})
	default:
		list = append(list, finding{Name: "process table", State: stateOK, Value: "shows all processes"})
	}
	return append(list, cgroupFindings()...)
}

// write writes it for people, what is wrong with its remedy.
func (d diagnosis) write(w io.Writer) error {
	b := &strings.Builder{}
	for _, part := range []struct {
		title string
		list  []finding
	}{
		{"Containments", d.Containments}, {"System", d.System}, {"Limits", d.Limits},
		{"Orphans", []finding{d.Orphans}}, {"Folders", d.Folders},
	} {
		if len(part.list) == 0 {
			continue
		}
		fmt.Fprintln(b, part.title+":")
		for _, f := range part.list {
			f.write(b)
		}
	}
	if d.OK {
		fmt.Fprintf(b, "\nfoster run can hold what it starts here: --contain auto takes %s.\n", d.Auto)
	} else {
		fmt.Fprintln(b, "\nSomething that custody needs is missing.")
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (f finding) write(b *strings.Builder) {
	state := map[string]string{stateOK: "yes", stateNo: "no", stateInfo: "-"}[f.State]
	text := f.Value
	if f.Why != "" {
		text = f.Why
		if f.Value != "" && f.State != stateNo {
			text = f.Value + ": " + f.Why
		}
	}
	fmt.Fprintf(b, "  %-3s  %-14s %s\n", state, f.Name, printable(text))
	if f.Hint != "" {
		fmt.Fprintf(b, "       %-14s hint: %s\n", "", printable(f.Hint))
	}
}
