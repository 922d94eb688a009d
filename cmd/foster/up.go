package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/supervise"
	"github.com/foster-init/foster/internal/sys"
)

// newUp is foster up.
func newUp(stdout, stderr *os.File) *cobra.Command {
	u := &upper{stdout: stdout, stderr: stderr}
	cmd := &cobra.Command{
		Use:   "up [flags] [APP…]",
		Short: "Start the applications of foster.yaml, and keep them running",
		Long: `Start the applications of a project in the order of their dependencies, show what they
say, and keep them running as foster.yaml, or a Procfile, wants it. With names, only
those applications, and what they depend on.

Ctrl-C, or SIGTERM, stops all in the reverse order, each to its last process; a second
Ctrl-C stops them without delay, a third one by SIGKILL. SIGHUP reads the files again, as foster update does. When the
last application has ended, foster up ends, too.

With --detach it runs in the background: the command returns when the applications
have been started, and says which couldn't be; foster status, logs and down do the rest.

Where the project runs already, foster up changes what differs from its files, and starts
what has failed or was never started; what was stopped by hand stays so, unless it is
named. Where another version of foster runs it, this one takes it over, without
a restart of any application. It does so, too, when the one before was killed.`,
		Example: "  foster up\n  foster up -d --wait\n  foster up --dry-run\n  foster up -f stack.yaml -f local.yaml web",
		RunE: func(cmd *cobra.Command, args []string) error {
			u.only, u.typed = args, typed(cmd, args)
			u.pipe = u.monitorPipe()
			err := u.run(cmd.Context())
			u.pipe.failed(err)
			return err
		},
		ValidArgsFunction: completeApps(&u.projectFlags),
	}
	u.add(cmd)
	return cmd
}

// upper is one foster up.
type upper struct {
	projectFlags
	detach, wait, dryRun         bool
	noColour, timestamps, silent bool
	timeout                      string
	form                         string
	monitor                      int
	pipe                         *monitorPipe // of the daemon; else nil

	typed          []string // the command line
	only           []string
	stdout, stderr *os.File
	project        *config.Project
	folder         string // of the project's state
	lockless       error  // why the folder has no lock
}

func (u *upper) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SortFlags = false
	u.projectFlags.add(cmd)
	fl.BoolVarP(&u.detach, "detach", "d", false, "run in the background, and return once the applications were started")
	fl.BoolVar(&u.wait, "wait", false, "with --detach, return once all of them are ready")
	fl.StringVar(&u.timeout, "wait-timeout", "5min", "how long to wait until all are started, or, with --wait, ready")
	fl.BoolVar(&u.dryRun, "dry-run", false, "say what would be done, and do nothing")
	fl.BoolVar(&u.noColour, "no-color", false, "show no colours, as with NO_COLOR in the environment")
	fl.BoolVar(&u.timestamps, "timestamps", false, "show the time of each line")
	fl.BoolVarP(&u.silent, "quiet", "q", false, "of foster itself, show only what is wrong")
	fl.IntVar(&u.monitor, "monitor", 0, "the descriptor of the one who is to be told of the start")
	_ = fl.MarkHidden("monitor")
	outputFlag(cmd, &u.form)
}

func (u *upper) run(ctx context.Context) error {
	if err := u.prepare(); err != nil {
		return err
	}
	for {
		lock, c, err := u.claim()
		if err != nil {
			return err
		}
		if lock != nil {
			return u.begin(ctx, lock)
		}
		again, err := u.meet(ctx, c)
		c.Close()
		if !again {
			return err
		}
		time.Sleep(10 * time.Millisecond) // polls: that one is about to end
	}
}

// prepare reads the project.
func (u *upper) prepare() (err error) {
	if err := validOutput(u.form); err != nil {
		return err
	}
	if _, err := parseTime("--wait-timeout", u.timeout); err != nil {
		return usageError{err}
	}
	if u.wait && !u.detach {
		return usageError{hinted{errors.New("--wait: without --detach, foster up stays"), "foster up -d --wait, or foster wait --for ready in another terminal"}}
	}
	if u.project, err = u.load(); err != nil {
		return err
	}
	for _, name := range u.only {
		if !slices.ContainsFunc(u.project.Apps, func(a config.App) bool { return a.Name == name }) {
			return usageError{hinted{fmt.Errorf("%s has no application %q", u.project.Name, name), hintApps(u.project)}}
		}
	}
	u.folder, err = projectFolder(u.project.Name)
	return err
}

func hintApps(p *config.Project) string {
	names := make([]string, len(p.Apps))
	for i, a := range p.Apps {
		names[i] = a.Name
	}
	return "it has " + strings.Join(names, ", ")
}

// begin starts the project, with the lock in hand.
func (u *upper) begin(ctx context.Context, lock *os.File) error {
	defer lock.Close()
	switch {
	case u.dryRun:
		return u.announce()
	case u.detach && u.monitor == 0:
		lock.Close()
		return u.daemon(ctx)
	}
	// Else each application would fail for itself, or the state couldn't be read.
	if err := errors.Join(sys.RoomForThreads(upThreads), sys.RoomForFiles(upFiles)); err != nil {
		return err
	}
	return u.serve(ctx)
}

// What a supervisor needs before it starts anything: for its own threads, for a shim, and for
// one application; and for the files of these.
const upThreads, upFiles = 36, 24

// announce says what a start would do, also in place of a supervisor that was killed, or
// of another version.
func (u *upper) announce() error {
	options := supervise.Options{State: u.folder, Only: u.only}
	return writeChanges(u.stdout, u.form, supervise.Forecast(u.project, options, alive), true)
}

// alive says whether there is a living tree of a name.
func alive(id string) bool {
	found, err := find(id)
	return err == nil && found.State == journal.Living
}

// meet deals with the supervisor that runs the project already. It says whether the
// project is to be had now.
func (u *upper) meet(ctx context.Context, c *client.Client) (again bool, err error) {
	status, err := c.Status(ctx)
	switch {
	case errors.Is(err, client.ErrNotRunning):
		return true, nil
	case err != nil:
		return false, err
	case u.monitor != 0:
		return false, statusError(exitOutrun)
	}
	if err := sameFiles(status, u.project); err != nil {
		return false, err
	}
	if status.Version != version() {
		if err := u.mayTakeOver(status); err != nil {
			return false, err
		}
		if u.dryRun {
			u.say("%s (pid %d) runs it: this version would take over", status.Version, status.PID)
			return false, u.announce()
		}
		u.say("%s (pid %d) runs it: this version takes over", status.Version, status.PID)
		u.detach = u.detach || status.Daemon
		if err := c.Leave(ctx); err != nil && !errors.Is(err, client.ErrNotRunning) {
			return false, err
		}
		return true, nil
	}
	err = u.apply(ctx, c, status)
	return errors.Is(err, client.ErrNotRunning), err
}

// mayTakeOver says why another version can't be followed without stopping what it runs.
func (u *upper) mayTakeOver(status client.Status) error {
	applied, err := supervise.Applied(u.folder)
	if err != nil || applied.Grace > 0 {
		return nil
	}
	var names []string
	for _, a := range status.Apps {
		for _, i := range a.Instances {
			if i.PID != 0 || i.Members > 0 {
				names = append(names, instanceName(a, i))
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return refusalError{hinted{fmt.Errorf("%s (pid %d) runs it, with the grace 0: this version can't take over without stopping %s", status.Version, status.PID, listed(names)),
		"foster down, and then foster up, starts them anew; with a grace they would run on"}}
}

// apply has the supervisor that runs bring the project to what its files say.
func (u *upper) apply(ctx context.Context, c *client.Client, status client.Status) error {
	var changes []client.Change
	err := u.within(ctx, c, "started", notStarted, func(ctx context.Context) (err error) {
		if len(u.only) > 0 {
			changes, err = c.UpApps(ctx, u.dryRun, u.only...)
		} else {
			changes, err = c.Up(ctx, u.dryRun)
		}
		return err
	})
	if _, late := errors.AsType[lateError](err); late {
		return err
	}
	if werr := writeChanges(u.stdout, u.form, changes, u.dryRun); werr != nil {
		return werr
	}
	if err != nil {
		return failedError(err)
	}
	if u.dryRun {
		return nil
	}
	if text := otherEnvironment(u.project, u.folder); text != "" {
		u.say("%s", text)
	}
	if u.wait {
		return u.awaitReady(ctx, c)
	}
	if !u.detach {
		u.say("%s runs already (pid %d): foster logs --follow shows its output", u.project.Name, status.PID)
	}
	return nil
}

func (u *upper) say(format string, args ...any) {
	if !u.silent {
		fmt.Fprintln(u.stderr, "foster: "+printable(fmt.Sprintf(format, args...)))
	}
}
