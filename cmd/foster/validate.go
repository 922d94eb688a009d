package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/config"
)

// newValidate is foster validate.
func newValidate(stdout, stderr io.Writer) *cobra.Command {
	var which configFlags
	var form string
	var schema bool
	cmd := &cobra.Command{
		Use:   "validate [flags]",
		Short: "Check foster.yaml, and say all that is wrong with it",
		Long: `Check foster.yaml, or a Procfile, and say all that is wrong with it: where, what was
expected, and what may have been meant. Nothing is started, and no supervisor is asked.

-o json prints the project as a file that has everything in it: files merged,
extends and variables resolved, defaults written.`,
		Example: "  foster validate\n  foster validate -f foster.yaml -f production.yaml\n  foster validate -o json\n  foster validate --schema > foster.schema.json",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			if schema {
				_, err := stdout.Write(config.JSONSchema())
				return err
			}
			project, err := which.load(stderr)
			if err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(stdout, project.Resolved())
			}
			_, err = fmt.Fprintln(stdout, printable(summary(project)))
			return err
		},
	}
	which.add(cmd)
	outputFlag(cmd, &form)
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema of foster.yaml, for editors")
	return cmd
}

// summary says what a project is, in a line.
func summary(p *config.Project) string {
	var files []string
	for _, path := range p.Files {
		files = append(files, filepath.Base(path))
	}
	replicas := 0
	for _, a := range p.Apps {
		replicas += a.Replicas
	}
	text := fmt.Sprintf("%s: OK: project %s, %s", strings.Join(files, ", "), p.Name, count(len(p.Apps), "application"))
	if replicas != len(p.Apps) {
		text += ", " + count(replicas, "instance")
	}
	return text
}

// configFlags say which files are read.
type configFlags struct{ files []string }

func (c *configFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&c.files, "file", "f", nil, "the `file` of the project, else foster.yaml or Procfile here; a second one is merged into the first")
}

// load reads the files, and tells all that is wrong with them.
func (c *configFlags) load(stderr io.Writer) (*config.Project, error) {
	project, err := config.Load(config.Source{Dir: ".", Files: c.files})
	wrong, ok := config.IsError(err)
	if !ok {
		return project, err
	}
	for _, p := range wrong.Problems {
		fmt.Fprintln(stderr, "foster: "+printable(p.String()))
		if p.Source != "" {
			plain := strings.NewReplacer("\t", " ").Replace
			fmt.Fprintf(stderr, "  %s\n  %s\n", printable(plain(p.Source)), plain(p.Caret()))
		}
		if p.Hint != "" {
			fmt.Fprintln(stderr, "hint: "+printable(p.Hint))
		}
	}
	return nil, statusError(exitUsage)
}
