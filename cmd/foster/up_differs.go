package main

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/supervise"
)

// A supervisor reads its own files again, with the environment that it was started with.
// Where a command is given others, that is told, instead of applying what nobody has asked
// for.

// sameFiles says what is wrong where a command is given other files than the supervisor
// that runs has.
func sameFiles(status client.Status, p *config.Project) error {
	theirs, ours := status.Given, p.Given
	if len(theirs) == 0 && len(status.Files) > 0 { // of a version that says only this
		theirs, ours = status.Files[:1], ours[:min(1, len(ours))]
	}
	switch {
	case len(theirs) == 0 || len(ours) == 0 || slices.Equal(theirs, ours):
		return nil
	case theirs[0] != ours[0]:
		return anotherProject(p.Name, theirs[0])
	}
	return refusalError{hinted{fmt.Errorf("%s runs already, from %s, and not from %s", p.Name, fileWords(status.Dir, theirs), fileWords(status.Dir, ours)),
		"foster update has it read its own files again; foster down, and then foster up, takes others"}}
}

// anotherProject says that a project of that name isn't the one that is meant.
func anotherProject(name, file string) error {
	return refusalError{hinted{fmt.Errorf("a project of this name, %s, runs already, from %s", name, file),
		"--project gives this one another name, as does name: in its file; it also says that the one is meant that runs"}}
}

// fileWords names files, those in a folder without it.
func fileWords(dir string, paths []string) string {
	short := make([]string, len(paths))
	for i, path := range paths {
		if short[i] = path; filepath.Dir(path) == dir {
			short[i] = filepath.Base(path)
		}
	}
	return strings.Join(short, " and ")
}

// sameFilesAs is sameFiles for a command that names files to say which project it is about.
func (p *projectFlags) sameFilesAs(ctx context.Context, c *client.Client) error {
	if len(p.files) == 0 {
		return nil
	}
	project, err := p.load()
	if err != nil {
		return err
	}
	status, err := c.Status(ctx)
	if err != nil {
		return err
	}
	return sameFiles(status, project)
}

// tellEnvironment tells of otherEnvironment, where the files that were applied are those of
// this command.
func (p *projectFlags) tellEnvironment(stderr io.Writer) {
	project, err := p.load()
	if err != nil {
		return // only its name was given, from anywhere
	}
	folder, err := projectFolder(project.Name)
	if err != nil {
		return
	}
	if text := otherEnvironment(project, folder); text != "" {
		fmt.Fprintln(stderr, "foster: "+printable(text))
	}
}

// otherEnvironment says in what the project as it was applied differs from what the same
// files say with the environment of this process; "": in nothing.
func otherEnvironment(p *config.Project, folder string) string {
	applied, err := supervise.Applied(folder)
	if err != nil || !slices.Equal(applied.Given, p.Given) {
		return "" // it isn't known, or of others
	}
	var found []string
	for _, a := range p.Apps {
		for _, b := range applied.Apps {
			if a.Name != b.Name {
				continue
			}
			keys, _ := config.Changes(b, a)
			keys = slices.DeleteFunc(keys, func(k string) bool { return k == "Replicas" }) // by foster scale
			for i, k := range keys {
				keys[i] = keyOf(k)
			}
			if len(keys) > 0 {
				found = append(found, a.Name+" ("+strings.Join(keys, ", ")+")")
			}
		}
	}
	if len(found) == 0 {
		return ""
	}
	return "the environment here is another than that which " + p.Name + " was started with, and still has; with this one would differ: " + strings.Join(found, ", ")
}
