package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/importer"
)

// newValidate is foster validate.
func newValidate(stdout io.Writer) *cobra.Command {
	var which projectFlags
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
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{hinted{fmt.Errorf("foster validate takes no argument: got %q", args[0]), "foster validate -f " + args[0]}}
			}
			return nil
		},
		RunE: func(*cobra.Command, []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			if schema {
				_, err := stdout.Write(config.JSONSchema())
				return err
			}
			project, err := which.load()
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

// forAnother is the error where a file that can't be read is another supervisor's.
func forAnother(files []string, err error) error {
	for _, path := range files {
		format, why := importer.Recognize(path)
		switch {
		case why != nil:
			return usageError{why}
		case format != "":
			return usageError{hinted{fmt.Errorf("%s: it isn't foster's: it is for %s", path, format), "foster import " + path + " > foster.yaml"}}
		}
	}
	return err
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
