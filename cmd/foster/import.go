package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/importer"
)

// newImport is foster import.
func newImport(stdout, stderr io.Writer) *cobra.Command {
	var from, output string
	var force bool
	cmd := &cobra.Command{
		Use:   "import [flags] [file…]",
		Short: "Write foster.yaml from the configuration of another supervisor",
		Long: `Read what another supervisor is configured by, and write it as foster.yaml, to standard
output or to a file:

  supervisord.conf         with the files that it includes
  Procfile                 with .env beside it
  process-compose.yaml     several are merged
  units of systemd         several .service, with .socket and .timer; those beside a
                           .service, and its drop-ins, are read, too
  ecosystem.config.json    of pm2; a .js is a program, which foster can't run

What a file is for is told by its name and content, or by --from. Without a file, one of
these names is looked for in the current folder.

Where foster has no equal for a thing, or means something else by it, a comment says so, at
the place, with the file and the line that it comes from. Read them before foster up.`,
		Example: `  foster import /etc/supervisor/supervisord.conf > foster.yaml
  foster import -o foster.yaml web.service worker.service
  foster import --from procfile Procfile.production`,
		RunE: func(_ *cobra.Command, args []string) error {
			format, err := importFormat(from)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				if args, err = importable(); err != nil {
					return err
				}
			}
			toFile := output != "" && output != "-"
			out := ""
			if toFile {
				switch info, err := os.Stat(output); {
				case err == nil && !info.Mode().IsRegular():
				case err == nil && !force:
					return flagError("output", alreadyThere(output))
				default:
					out = filepath.Dir(output)
				}
			}
			result, err := importer.Import(importer.Source{Paths: args, From: format, Out: out})
			if err != nil {
				return importError(err)
			}
			if !toFile {
				_, err = stdout.Write(result.YAML)
			} else if err = writeFile(output, result.YAML, force); err != nil {
				err = flagError("output", err)
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(stderr, "foster: %s, %s\n", count(result.Apps, "application"), count(len(result.Remarks), "remark"))
			return nil
		},
	}
	cmd.Flags().StringVar(&from, "from", "", "what the files are for: "+importFormats())
	cmd.Flags().StringVarP(&output, "output", "o", "", "the `file` to write, a symbolic link is followed; else standard output")
	cmd.Flags().BoolVar(&force, "force", false, "write over a regular file that exists")
	_ = cmd.RegisterFlagCompletionFunc("from", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return strings.Split(importFormats(), ", "), cobra.ShellCompDirectiveNoFileComp
	})
	return cmd
}

func importFormats() string {
	var names []string
	for _, f := range importer.Formats {
		names = append(names, string(f))
	}
	return strings.Join(names, ", ")
}

func importFormat(from string) (importer.Format, error) {
	f := importer.Format(strings.ToLower(from))
	if from == "" || slices.Contains(importer.Formats, f) {
		return f, nil
	}
	return "", usageError{flagError("from", fmt.Errorf("%q is none of %s", from, importFormats()))}
}

// importable finds a file of the current folder.
func importable() ([]string, error) {
	for _, name := range importer.DefaultNames {
		if _, err := os.Stat(name); err == nil {
			return []string{name}, nil
		}
	}
	return nil, usageError{hinted{
		fmt.Errorf("there is none of %s in this folder", strings.Join(importer.DefaultNames, ", ")), "foster import FILE",
	}}
}

// importError is exit status 2, whatever can't be read.
func importError(err error) error {
	if e, ok := errors.AsType[*importer.Error](err); ok && e.Hint != "" {
		return usageError{hinted{err, e.Hint}}
	}
	return usageError{err}
}
