package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
)

// newExec is foster exec.
func newExec(stdin, stdout, stderr *os.File) *cobra.Command {
	var p projectFlags
	cmd := &cobra.Command{
		Use:   "exec [flags] APP -- command [argument…]",
		Short: "Run a command as an application would be run",
		Long: `Run a command in the foreground with the environment, the folder and the user of an
application, or of one replica (web.2). It is a tree of its own, held as foster run
holds one; the application need not run. The exit status is the command's.`,
		Example: "  foster exec web -- env\n  foster exec web.2 -- sh",
		Args: func(cmd *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usageError{hinted{errors.New("foster exec needs the name of an application"), "foster exec web -- env"}}
			case len(afterDashes(args[1:])) == 0:
				return usageError{hinted{errNoProgram, "foster exec " + args[0] + " -- env"}}
			}
			return nil
		},
		ValidArgsFunction: func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeApps(&p)(cmd, args, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			var e client.Environment
			if err := p.withApps(cmd.Context(), args[:1], func(c *client.Client, of []client.Target) (err error) {
				e, err = c.Environment(cmd.Context(), of[0].App, of[0].Replica)
				return err
			}); err != nil {
				return err
			}
			argv := afterDashes(args[1:])
			run := foster.Command(argv[0], argv[1:]...)
			run.Dir, run.Env = e.Dir, e.Env
			var err error
			if run.Credential, err = units.Credential(e.User, e.Group, e.Groups...); err != nil {
				return err
			}
			run.Stdin, run.Stdout, run.Stderr = stdin, stdout, stderr
			return (&runner{cmd: run, stderr: stderr}).run(cmd.Context())
		},
	}
	cmd.Flags().SetInterspersed(false)
	p.add(cmd)
	return cmd
}

// afterDashes is a command without the -- before it.
func afterDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}
