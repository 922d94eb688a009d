package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// release is the version of a build without the Go tool's record of it:
// -ldflags "-X main.release=v1.2.3".
var release string

// build is what was built; its keys are kept.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // where the version doesn't have it
	Go       string `json:"go"`
	System   string `json:"system"`
	Arch     string `json:"arch"`
}

// built tells what was built, from what the Go tool has recorded.
func built() build {
	b := build{"(devel)", "", runtime.Version(), runtime.GOOS, runtime.GOARCH}
	if release != "" {
		b.Version = release
	} else if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			b.Version = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 && b.Version == "(devel)" {
				b.Revision = s.Value[:12]
			}
		}
	}
	return b
}

// version is that in a line.
func version() string {
	b := built()
	revision := ""
	if b.Revision != "" {
		revision = " " + b.Revision
	}
	return fmt.Sprintf("foster %s%s %s %s/%s", b.Version, revision, b.Go, b.System, b.Arch)
}

// newVersion is foster version.
func newVersion(stdout io.Writer) *cobra.Command {
	var form string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of foster and what it was built with",
		Args:  noArguments,
		RunE: func(*cobra.Command, []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			if form == "json" {
				return writeJSON(stdout, built())
			}
			_, err := fmt.Fprintln(stdout, version())
			return err
		},
	}
	outputFlag(cmd, &form)
	return cmd
}
