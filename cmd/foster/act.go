package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/control"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/procfs"
	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/internal/wire"
)

// The commands that act on one living tree.

// needs says which arguments a command takes.
func needs(example string, names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return usageError{hinted{fmt.Errorf("%s needs %s", cmd.CommandPath(), names[len(args)]), example}}
		case len(args) > len(names):
			return usageError{hinted{
				fmt.Errorf("%s takes no further argument: got %q", cmd.CommandPath(), args[len(names)]), example,
			}}
		}
		return nil
	}
}

// completeID completes the first argument by the name of a tree.
func completeID(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return ids(), cobra.ShellCompDirectiveNoFileComp
}

const theTree = "the name of an application or a tree"

// act connects to a tree, and does something with it.
func act(id string, do func(*control.Client) error) error {
	_, c, err := connect(id)
	if err != nil {
		return asRefusal(err)
	}
	defer c.Close()
	return asRefusal(refused(id, do(c)))
}

// asRefusal tells what was refused from what foster couldn't do.
func asRefusal(err error) error {
	_, unknown := errors.AsType[unknownError](err)
	_, answer := errors.AsType[*control.RefusedError](err)
	if unknown || answer || errors.Is(err, foster.ErrEnded) || errors.Is(err, errLost) || errors.Is(err, journal.ErrForeign) {
		return refusalError{err}
	}
	return err
}

// scopes are whom a signal can be for.
var scopes = map[string]wire.Scope{
	"tree": wire.ScopeTree, "group": wire.ScopeGroup, "leader": wire.ScopeLeader, "leader-first": wire.ScopeLeaderFirst,
}

func newSignal(stdout io.Writer) *cobra.Command {
	var p projectFlags
	var scope string
	cmd := &cobra.Command{
		Use:     "signal [flags] APP|ID SIGNAL",
		Aliases: []string{"kill"},
		Short:   "Send a signal to an application or a tree, once",
		Long: `Send a signal once, to each process of an application or of a tree, or to some. It ends
nothing by itself, and nobody waits for what comes of it: to end one, foster stop.`,
		Example:           "  foster signal web HUP\n  foster signal --scope leader web USR1",
		Args:              needs("foster signal web HUP", theTree, "a signal"),
		ValidArgsFunction: completeAny(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			sig, err := units.Signal(args[1])
			if err != nil {
				return usageError{err}
			}
			number, ok := scopes[scope]
			if !ok || number == wire.ScopeLeaderFirst {
				return usageError{flagError("scope", fmt.Errorf("%q is none of tree, group, leader", scope))}
			}
			if app, err := p.asApp(cmd.Context(), args[0], func(o *ownedBy) error {
				return o.Signal(cmd.Context(), units.SignalName(sig), scope, o.aim)
			}); app {
				return err
			}
			return p.asTrees(cmd.Context(), cmd.ErrOrStderr(), args[0], func(id string) error {
				return act(id, func(c *control.Client) error {
					_, err := c.Signal(sig, number)
					return err
				})
			})
		},
	}
	cmd.Flags().StringVar(&scope, "scope", "tree", "whom: tree, group or leader")
	p.add(cmd)
	answers(cmd, stdout)
	return cmd
}

func newExtend(stdout io.Writer) *cobra.Command {
	var p projectFlags
	var form string
	cmd := &cobra.Command{
		Use:   "extend [flags] APP|ID TIME",
		Short: "Let an application or a tree run longer than its lease",
		Long: `Let an application or a tree run for this time from now, if its lease would end sooner; a lease that
runs longer isn't cut. The time that is left then is printed. More than foster run
--lease-max allows is refused, and so is a tree without a lease.`,
		Example:           "  foster extend web 10m\n  foster extend web '1h 30min'",
		Args:              needs("foster extend web 10m", theTree, "a time"),
		ValidArgsFunction: completeAny(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			d, err := parseTime("time", args[1])
			if err != nil {
				return usageError{err}
			}
			if d <= 0 {
				return usageError{fmt.Errorf("time: %q is not more than 0", args[1])}
			}
			if app, err := p.asApp(cmd.Context(), args[0], func(o *ownedBy) error {
				return extendApp(cmd.Context(), stdout, form, o, d)
			}); app {
				return err
			}
			return p.asTrees(cmd.Context(), cmd.ErrOrStderr(), args[0], func(id string) error { return extendTree(stdout, form, id, d) })
		},
	}
	extend := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := extend(cmd, args)
		if err == nil {
			return nil
		}
		return reply(stdout, form, err, func(a acted) any { return a })
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// -5m looks like a flag.
		if f, ok := errors.AsType[*pflag.NotExistError](err); ok && strings.Trim(f.GetSpecifiedShortnames(), "0123456789.smhdwun") == "" {
			return usageError{fmt.Errorf("time: \"-%s\" is negative: a lease is extended by a time that is more than 0", f.GetSpecifiedShortnames())}
		}
		return cmd.Parent().FlagErrorFunc()(cmd, err)
	})
	outputFlag(cmd, &form)
	p.add(cmd)
	return cmd
}

// extendTree extends the lease of a tree.
func extendTree(stdout io.Writer, form, id string, by time.Duration) error {
	return act(id, func(c *control.Client) error {
		left, err := c.Extend(by)
		if err != nil {
			return hintedRefusal(err, syscall.EINVAL, "foster inspect "+id+" shows its lease; foster run --lease gives one")
		}
		if form == "json" {
			return writeJSON(stdout, extended{id, left.Seconds()})
		}
		_, err = fmt.Fprintf(stdout, "%s: %s left\n", id, short(left.Round(time.Second)))
		return err
	})
}

// extended is what foster extend prints; its keys are kept.
type extended struct {
	ID   string  `json:"id"`
	Left float64 `json:"lease_left_seconds"`
}

// hintedRefusal adds what can be done where a shim has refused for one reason.
func hintedRefusal(err error, why syscall.Errno, hint string) error {
	if errors.Is(err, why) {
		return hinted{err, hint}
	}
	return err
}

func newClaim(stdout io.Writer) *cobra.Command {
	var owner, form string
	cmd := &cobra.Command{
		Use:   "claim [flags] ID",
		Short: "Become the owner of a tree that has lost its own",
		Long: `Become the owner of a tree whose owner is gone, within its grace. The owner is the
process with the number that is given, else the one that has started this command,
a shell say; the tree lives as long as that process, and for its grace after that.
A tree whose owner lives can't be claimed.`,
		Example:           "  foster claim web\n  foster claim --owner 4711 web",
		Args:              needs("foster claim web", theTree),
		ValidArgsFunction: completeID,
		RunE: func(_ *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			m, fd, err := holdNamed(cmp.Or(owner, "parent"))
			if err != nil {
				return usageError{err}
			}
			defer closeHandle(fd)
			return act(args[0], func(c *control.Client) error {
				if err := c.ClaimFor(m, fd); err != nil {
					return hintedRefusal(err, syscall.EBUSY, "foster inspect "+args[0]+" shows its state and its owner")
				}
				if form == "json" {
					return writeJSON(stdout, claimed{args[0], member{PID: m.PID, Name: m.Name}})
				}
				_, err := fmt.Fprintf(stdout, "%s: the owner is %s (pid %d)\n", args[0], printable(m.Name), m.PID)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&owner, "owner", "", "the `PID` of the owner, or parent: the process that started this command")
	outputFlag(cmd, &form)
	return cmd
}

// claimed is what foster claim prints; its keys are kept.
type claimed struct {
	ID    string `json:"id"`
	Owner member `json:"owner"`
}

// holdNamed finds and holds the process that --owner names: by its number, or as the parent
// of this command.
func holdNamed(text string) (wire.Member, int, error) {
	if text == "parent" {
		m, fd, err := holdParent()
		if err != nil {
			err = flagError("owner", err)
		}
		return m, fd, err
	}
	pid, err := strconv.Atoi(text)
	if err != nil || pid <= 0 {
		return wire.Member{}, -1, flagError("owner", fmt.Errorf("%q is neither the number of a process nor parent", text))
	}
	m, fd, err := holdOwner(pid)
	if err != nil {
		err = flagError("owner", err)
	}
	return m, fd, err
}

var errParentEnded = errors.New("the process that started foster has ended")

// holdParent holds the process that has started this command. If that has ended, another is
// the parent, which has adopted this one: who starts a process is in its session, unless
// that leads one of its own.
func holdParent() (wire.Member, int, error) {
	pid := os.Getppid()
	if pid == 0 {
		return wire.Member{}, -1, errors.New("the process that started foster is in another PID namespace, and can't be seen here")
	}
	m, fd, err := holdOwner(pid)
	if err != nil {
		if os.Getppid() != pid {
			err = errParentEnded
		}
		return m, fd, err
	}
	self, err := procfs.Read(os.Getpid())
	parent, perr := procfs.Read(pid)
	if err = errors.Join(err, perr); err == nil && (os.Getppid() != pid || self.Session != self.PID && self.Session != parent.Session) {
		err = errParentEnded
	}
	if err != nil {
		closeHandle(fd)
		return m, -1, err
	}
	return m, fd, nil
}

// refusalError is a request that wasn't fulfilled: exit status 1.
type refusalError struct{ error }

func (r refusalError) Unwrap() error { return r.error }
