package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Whatever flag of whatever command takes a number or a yes or no: the error names the
// flag and what was expected, and nothing of Go.
func TestWrongFlagValuesAreToldInWords(t *testing.T) {
	n := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if kind := f.Value.Type(); strings.HasPrefix(kind, "string") {
				return
			}
			n++
			err := cmd.FlagErrorFunc()(cmd, cmd.Flags().Parse([]string{"--" + f.Name + "=x"}))
			if err == nil || strings.Contains(err.Error(), "strconv") || !strings.Contains(err.Error(), "--"+f.Name+`: "x" is not `) {
				t.Errorf("%s --%s=x: %v", cmd.CommandPath(), f.Name, err)
			}
		})
		for _, c := range cmd.Commands() {
			walk(c)
		}
	}
	walk(newRoot(os.Stdin, os.Stdout, os.Stderr))
	if n < 10 {
		t.Errorf("only %d flags were tried", n)
	}
}
