package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/importer"
	"github.com/foster-init/foster/internal/supervise"
)

// newValidate is foster validate.
func newValidate(stdout, stderr io.Writer) *cobra.Command {
	var which projectFlags
	var form string
	var schema bool
	cmd := &cobra.Command{
		Use:   "validate [flags]",
		Short: "Check foster.yaml, and say all that is wrong with it",
		Long: `Check foster.yaml, or a Procfile, and say all that is wrong with it: where, what was
expected, and what may have been meant. Nothing is started, and no supervisor is asked.
A command that doesn't exist here is a warning: it may exist where, or when, it is run.

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
			for _, text := range warnings(project) {
				fmt.Fprintln(stderr, "foster: warning: "+printable(text))
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

// warnings say which commands of a project don't exist, or can't be executed, now.
func warnings(p *config.Project) (list []string) {
	for _, spec := range p.Apps {
		a := spec.Instance(p.Name, 1)
		if _, err := os.Stat(a.Dir); errors.Is(err, fs.ErrNotExist) {
			list = append(list, fmt.Sprintf("apps.%s.working_dir: %s doesn't exist", a.Name, a.Dir))
			continue // what is relative to it neither
		}
		for _, c := range []struct {
			key  string
			argv []string
		}{
			{"command", a.Command}, {"stop.command", a.Stop.Command},
			{"hooks.pre_start", a.Hooks.PreStart}, {"hooks.post_start", a.Hooks.PostStart}, {"hooks.pre_stop", a.Hooks.PreStop}, {"hooks.post_stop", a.Hooks.PostStop},
			{"readiness_probe.exec", execOf(a.Readiness)}, {"liveness_probe.exec", execOf(a.Liveness)},
		} {
			if text := missingProgram(c.argv, a.Dir); text != "" {
				list = append(list, fmt.Sprintf("apps.%s.%s: %s", a.Name, c.key, text))
			}
		}
	}
	return list
}

func execOf(p *config.Probe) []string {
	if p == nil {
		return nil
	}
	return p.Exec
}

var shellBegin = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^\s*(?:exec\s+)?([A-Za-z0-9_./-]*/[A-Za-z0-9_./-]*)(?:\s|$)`)
})

// missingProgram says what is wrong with the program of a command; "": it is there. Of what a
// shell runs, it is the path that the text begins with.
func missingProgram(argv []string, dir string) string {
	if len(argv) == 0 {
		return ""
	}
	if text := oneProgram(argv[0], dir); text != "" || len(argv) != 3 || argv[1] != "-c" {
		return text
	}
	if m := shellBegin().FindStringSubmatch(argv[2]); m != nil {
		return oneProgram(m[1], dir)
	}
	return ""
}

func oneProgram(name, dir string) string {
	if !strings.Contains(name, "/") {
		if _, err := exec.LookPath(name); err != nil {
			return fmt.Sprintf("there is no program %q in PATH", name)
		}
		return ""
	}
	path := name
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	if hint := supervise.ExecHint(name, dir); hint != "" {
		return path + ": " + hint
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return path + " doesn't exist"
	}
	return ""
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
