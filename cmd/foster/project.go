package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/journal"
)

// Which project a command is about: that of --file, else of --project or FOSTER_PROJECT,
// else of the foster.yaml or Procfile in this folder or the nearest one above.

// projectFlags say it.
type projectFlags struct {
	files []string
	name  string
}

// add adds the flags.
func (p *projectFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringArrayVarP(&p.files, "file", "f", nil, "the `file` of the project, else foster.yaml or Procfile here or above; a second one is merged into the first")
	cmd.Flags().StringVar(&p.name, "project", "", "the `name` of the project, else $FOSTER_PROJECT or what its file says")
	_ = cmd.RegisterFlagCompletionFunc("file", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return nil, cobra.ShellCompDirectiveDefault
	})
	_ = cmd.RegisterFlagCompletionFunc("project", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		return projectNames(), cobra.ShellCompDirectiveNoFileComp
	})
}

// given is the name that was asked for; "": none was.
func (p *projectFlags) given() (string, error) {
	name := p.name
	if name == "" && len(p.files) == 0 {
		name = os.Getenv("FOSTER_PROJECT")
	}
	if name == "" {
		return "", nil
	}
	if err := journal.ValidID(name); err != nil {
		return "", usageError{flagError("project", errors.New(strings.Replace(err.Error(), "a tree's", "a project's", 1)))}
	}
	return name, nil
}

// load reads the project's files. The name that was asked for is its name.
func (p *projectFlags) load() (*config.Project, error) {
	name, err := p.given()
	if err != nil {
		return nil, err
	}
	project, err := loadNearest(p.files)
	if err != nil {
		return nil, forAnother(p.files, configError(err))
	}
	if name != "" {
		project.Name = name
	}
	return project, nil
}

// loadNearest reads the files that are named, or else those of the nearest folder that
// has some: this one, or one above.
func loadNearest(files []string) (*config.Project, error) {
	here, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	var missing error
	for dir := "."; ; dir = filepath.Join("..", dir) {
		project, err := config.Load(config.Source{Dir: dir, Files: files, Environ: os.Environ(), Found: dir != "."})
		if missing == nil {
			missing = err
		}
		if !errors.Is(err, config.ErrNotFound) {
			return project, err
		}
		if filepath.Join(here, dir) == "/" {
			return nil, missing
		}
	}
}

// dial connects to the project's supervisor.
func (p *projectFlags) dial(ctx context.Context) (*client.Client, error) {
	name, err := p.given()
	if err != nil {
		return nil, err
	}
	var project *config.Project // nil: it is meant by its name
	if name == "" {
		if project, err = p.load(); err != nil {
			return p.dialHere(ctx, err)
		}
		name = project.Name
	}
	c, err := client.Dial(name)
	if err == nil && project != nil {
		return ofThisFolder(ctx, c, project)
	}
	if errors.Is(err, client.ErrNotRunning) {
		return nil, refusalError{hinted{fmt.Errorf("%s: %w", name, client.ErrNotRunning), hintRunning(name)}}
	}
	return c, err
}

// ofThisFolder gives back the connection to a supervisor, unless that has its files from
// another folder: most projects are called as their folder is, and so may two be.
func ofThisFolder(ctx context.Context, c *client.Client, project *config.Project) (*client.Client, error) {
	status, err := c.Status(ctx)
	if err != nil {
		return c, nil // whatever it is, the command meets it, too
	}
	theirs, ours := status.Given, project.Given
	if len(theirs) == 0 || len(ours) == 0 || sameFolder(filepath.Dir(theirs[0]), filepath.Dir(ours[0])) {
		return c, nil
	}
	c.Close()
	return nil, anotherProject(project.Name, theirs[0])
}

func sameFolder(a, b string) bool {
	if a == b {
		return true
	}
	x, err := os.Stat(a)
	y, yerr := os.Stat(b)
	return err == nil && yerr == nil && os.SameFile(x, y)
}

// dialHere finds the supervisor that has read its files in this folder, or in one above,
// where they can't be read now: what runs can be seen and stopped all the same.
func (p *projectFlags) dialHere(ctx context.Context, otherwise error) (*client.Client, error) {
	dir, err := os.Getwd()
	if err != nil || len(p.files) > 0 {
		return nil, otherwise
	}
	var running []string
	for _, name := range projectNames() {
		c, err := client.Dial(name)
		if err != nil {
			continue
		}
		running = append(running, name)
		status, err := c.Status(ctx)
		if err == nil && (status.Dir == dir || strings.HasPrefix(dir, strings.TrimSuffix(status.Dir, "/")+"/")) {
			return c, nil
		}
		c.Close()
	}
	if errors.Is(otherwise, config.ErrNotFound) {
		return nil, nameIt(otherwise, running)
	}
	return nil, otherwise
}

// nameIt says how a project is named where this folder has no file of one, and which ones
// run: a file to begin with is no help to who asks for what runs.
func nameIt(missing error, running []string) error {
	if h, ok := errors.AsType[hinted](missing); ok {
		missing = h.error
	}
	hint := "name it with -f FILE; no project runs now"
	if len(running) > 0 {
		hint = "name it with -f FILE, or with --project one that runs now: " + strings.Join(running, ", ")
	}
	return usageError{hinted{missing, hint}}
}

func hintRunning(name string) string {
	if left := leftOf(name, nil); len(left) > 0 {
		return "it was killed, and has left " + strings.Join(idsOf(left), ", ") + ": foster up takes over what runs, foster down ends it"
	}
	if folder, err := stateFolder(name); err == nil {
		if what := unfinishedOf(name, folder, nil); what != "" {
			return "it was killed; foster up or foster down goes on with what it has left undone: " + what
		}
	}
	if others := slices.DeleteFunc(projectNames(), func(n string) bool { return n == name }); len(others) > 0 {
		return "foster up starts it; --project names another that runs: " + strings.Join(others, ", ")
	}
	return "foster up starts it, foster up -d in the background"
}

// projectNames are the projects that have a supervisor, or had one that was killed.
func projectNames() (names []string) {
	_, runtime, err := journal.Folders()
	if err != nil {
		return nil
	}
	const suffix = ".sock"
	paths, _ := filepath.Glob(filepath.Join(runtime, "projects", "*"+suffix)) // the pattern is valid
	for _, p := range paths {
		names = append(names, strings.TrimSuffix(filepath.Base(p), suffix))
	}
	return names
}
