package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/pid1"
)

// newInit is foster init. Its command line is parsed by package pid1, as that of
// the small foster-init binary is: --compat makes it another program's.
func newInit(stdin, stdout, stderr *os.File) *cobra.Command {
	cmd := &cobra.Command{
		Use:                "init [flags] -- command [argument…]",
		Short:              "Run a command as its init, as PID 1 of a container",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if status := pid1.Main(pid1.Native, args, stdin, stdout, stderr); status != 0 {
				return statusError(status)
			}
			return nil
		},
		ValidArgsFunction: func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
			return nil, cobra.ShellCompDirectiveDefault // a program, or its file
		},
	}
	cmd.SetHelpFunc(func(*cobra.Command, []string) { stdout.WriteString(pid1.Usage()) })
	return cmd
}
