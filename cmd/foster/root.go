package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/sys"
)

// Before a command does anything it has the threads that it needs, and room for files: the
// Go runtime would end it by a fatal error later.
const commandThreads, commandFiles = 5, 6

// run is the foster command: it parses args and gives the exit status.
func run(ctx context.Context, args []string, stdin, stdout, stderr *os.File) int {
	if sys.IsElevated() {
		return complain(stderr, hinted{sys.ErrElevated, sys.ElevatedHint})
	}
	if err := errors.Join(sys.ReserveThreads(commandThreads), sys.RoomForFiles(commandFiles)); err != nil {
		return complain(stderr, err)
	}
	defer contain.StepBack()
	root := newRoot(stdin, stdout, stderr)
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		return complain(stderr, err)
	}
	return 0
}

func newRoot(stdin, stdout, stderr *os.File) *cobra.Command {
	root := &cobra.Command{
		Use:   "foster",
		Short: "Run a start script and never lose a process of it",
		Long: `foster runs commands and never loses a process of them: no orphan that nobody
watches, no zombie that nobody reaps, not when the start script dies, not when
foster dies.

  foster run -- ./start.sh     run it in the foreground, hold all that it starts
  foster run -d -- ./start.sh  run it in the background
  foster ls                    what runs, with whom, for how long
  foster attach ID             what it says; Ctrl-C detaches
  foster wait ID               until it has ended, and with which status
  foster stop ID               end it, to the last process

Many applications, from a foster.yaml or a Procfile:

  foster up                    start them, show their output; Ctrl-C stops all
  foster up -d                 the same in the background
  foster status                how they are
  foster logs --follow APP     what one says
  foster down                  end all, to the last process

What others have left behind:

  foster explain :8080         who holds this port, what it is, what to do about it
  foster orphans               what lost its parent; --stop ends it
  foster zombies               what nobody reaps, and whose fault that is
  foster doctor                what custody this host gives, and what is missing

In a container:

  foster init -- ./server      the same as PID 1 of a container`,
		SilenceErrors: true,

		SuggestionsMinimumDistance: 2,
		SilenceUsage:               true,
		Args:                       noCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asked, _ := cmd.Flags().GetBool("version"); asked {
				fmt.Fprintln(stdout, version())
				return nil
			}
			return cmd.Help()
		},
	}
	root.Flags().BoolP("version", "v", false, "print the version of foster")
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usageError{hinted{flagValueError(err), fmt.Sprintf("%s --help lists the flags", cmd.CommandPath())}}
	})
	root.AddCommand(
		newRun(stdin, stdout, stderr), newInit(stdin, stdout, stderr), newLs(stdout, stderr), newInspect(stdout), newAttach(stdin, stdout, stderr), newWait(stdout, stderr),
		newStop(stdout, stderr), newSignal(stdout), newExtend(stdout), newClaim(stdout), newRelease(stdout, stderr), newRecover(stdout, stderr), newVersion(stdout),
		newUp(stdout, stderr), newDown(stdout, stderr), newStart(stdout), newRestart(stdout), newStatus(stdout, stderr), newLogs(stdout, stderr), newEvents(stdout, stderr),
		newScale(stdout), newUpdate(stdout, stderr), newHistory(stdout, stderr), newIsReady(stdout, stderr), newReload(stdout), newExec(stdin, stdout, stderr),
		newPs(stdout), newTree(stdout),
		newValidate(stdout, stderr), newGraph(stdout), newImport(stdout, stderr),
		newExplain(stdout), newOrphans(stdin, stdout, stderr), newZombies(stdin, stdout, stderr), newDoctor(stdout),
	)
	for _, cmd := range root.Commands() {
		refuseEmpty(cmd)
	}
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args = noCommand
		completion.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	}
	root.InitDefaultHelpCmd()
	if help, _, err := root.Find([]string{"help"}); err == nil {
		help.RunE = helpOn
	}
	return root
}

// naming are the flags whose value names what a command acts on, or as whom it runs.
var naming = []string{"file", "project", "reap-by-ending-parent", "owner", "user", "port", "tree", "name", "env-file"}

// refuseEmpty has a command refuse an empty text where something is to be named. It comes
// from a variable that isn't set, or a file that isn't there, and must not mean "all", or
// the default. The arguments of a program are its own.
func refuseEmpty(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		names := args
		switch cmd.Name() {
		case "run", "init": // an empty command can't be found: 127, as of a shell
			names = nil
		case "exec":
			names = args[:min(1, len(args))]
		}
		if slices.Contains(names, "") {
			return usageError{hinted{fmt.Errorf("%s: an argument is empty: it names nothing", cmd.CommandPath()),
				"is a variable not set, or a file missing? see " + cmd.CommandPath() + " --help"}}
		}
		for _, name := range naming {
			if f := cmd.Flags().Lookup(name); f != nil && f.Changed && emptyValue(f.Value) {
				return usageError{hinted{flagError(name, errors.New("the value is empty: it names nothing")),
					"is a variable not set? leave the flag out for the default"}}
			}
		}
		if check == nil {
			return nil
		}
		return check(cmd, args)
	}
}

func emptyValue(v pflag.Value) bool {
	if list, ok := v.(pflag.SliceValue); ok {
		return slices.Contains(list.GetSlice(), "")
	}
	return v.String() == ""
}

// flagValueError says what a flag takes, in place of what its parser says.
func flagValueError(err error) error {
	wrong, ok := errors.AsType[*pflag.InvalidValueError](err)
	if !ok {
		return err
	}
	want := "a " + wrong.GetFlag().Value.Type()
	switch wrong.GetFlag().Value.Type() {
	case "int":
		want = "a whole number"
	case "uint64":
		want = "a whole number of at least 0"
	case "bool":
		want = "true or false"
	}
	return flagError(wrong.GetFlag().Name, fmt.Errorf("%q is not %s", wrong.GetValue(), want))
}

// helpOn is foster help COMMAND.
func helpOn(cmd *cobra.Command, args []string) error {
	of, rest, err := cmd.Root().Find(args)
	if err != nil {
		return usageError{err}
	}
	if of == cmd.Root() && len(rest) > 0 {
		return noCommand(of, rest)
	}
	of.InitDefaultHelpFlag()
	return of.Help()
}

// noCommand says what was meant where a command's name isn't known.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "foster --help lists the commands; to run a program: foster run -- " + args[0]
	near := slices.DeleteFunc(cmd.SuggestionsFor(args[0]), func(name string) bool {
		return distance(name, args[0]) > 2 && !strings.HasPrefix(name, args[0]) // cobra goes too far for short names
	})
	if len(near) > 0 {
		// Letters are mixed up more often than left out.
		slices.SortStableFunc(near, func(a, b string) int { return distance(a, args[0]) - distance(b, args[0]) })
		hint = "did you mean foster " + near[0] + "?"
	}
	return usageError{hinted{fmt.Errorf("%q is not a foster command", args[0]), hint}}
}

// distance is how many letters two words don't have in common, wherever they stand.
func distance(a, b string) (n int) {
	count := map[rune]int{}
	for _, r := range a {
		count[r]++
	}
	for _, r := range b {
		count[r]--
	}
	for _, c := range count {
		n += max(c, -c)
	}
	return n
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return usageError{hinted{
		fmt.Errorf("%s takes no argument: got %q", cmd.CommandPath(), args[0]),
		cmd.CommandPath() + " --help tells more",
	}}
}

var errNoProgram = errors.New("no command was given")
