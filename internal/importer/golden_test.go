package importer

import (
	"bytes"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/diff"
	"golang.org/x/tools/txtar"

	"github.com/foster-init/foster/internal/config"
)

var update = flag.Bool("update", false, "write what is made as what is wanted")

// memory has files that are on no disk. Relative paths are in /srv.
func memory(content map[string]string) files {
	key := func(p string) string {
		if p = path.Clean(p); path.IsAbs(p) {
			return strings.TrimPrefix(p, "/srv/")
		}
		return p
	}
	return files{
		read: func(p string) ([]byte, error) {
			if text, ok := content[key(p)]; ok {
				return []byte(text), nil
			}
			return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
		},
		glob: func(pattern string) (found []string, err error) {
			for name := range content {
				ok, err := path.Match(key(pattern), name)
				if err != nil {
					return nil, err
				}
				if ok {
					found = append(found, name)
				}
			}
			slices.Sort(found)
			return found, nil
		},
		abs: func(p string) (string, error) {
			if path.IsAbs(p) {
				return path.Clean(p), nil
			}
			return path.Join("/srv", p), nil
		},
	}
}

// The files in testdata/golden are archives: the first line says what is imported, and
// the files follow; foster.yaml is what is made of them. go test -update writes that.
func TestImportWritesWhatIsWanted(t *testing.T) {
	archives, err := filepath.Glob("testdata/golden/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives", err)
	}
	for _, file := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			content := map[string]string{}
			for _, f := range a.Files {
				content[f.Name] = string(f.Data)
			}
			args, _, _ := strings.Cut(string(a.Comment), "\n")
			got := made(t, content, strings.Fields(args))
			if *update {
				writeWanted(t, file, a, got)
				return
			}
			if want := content["foster.yaml"]; got != want {
				t.Errorf("%s", diff.Diff("want", []byte(want), "got", []byte(got)))
			}
		})
	}
}

// made is the foster.yaml that is made of files, which has been loaded.
func made(t *testing.T, content map[string]string, paths []string) string {
	t.Helper()
	r := &reader{files: memory(content), out: "/srv", environ: []string{"HOME=/home/me"}}
	res, err := r.run(paths, "")
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(t, res.YAML, content)
	if err != nil {
		t.Fatalf("it can't be loaded: %v\n%s", allProblems(err), res.YAML)
	}
	if len(p.Apps) != res.Apps {
		t.Errorf("%d applications were loaded, and %d made", len(p.Apps), res.Apps)
	}
	return string(res.YAML)
}

var variables = regexp.MustCompile(`\$\{([A-Za-z_]\w*)\}`)

// load loads a foster.yaml, in an environment that has all variables of it, beside the
// files that it was made of.
func load(t testing.TB, text []byte, content map[string]string) (*config.Project, error) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	for name, data := range content {
		if !strings.HasSuffix(name, ".env") {
			continue
		}
		write(t, filepath.Join(dir, name), data)
		if path.IsAbs(name) {
			text = bytes.ReplaceAll(text, []byte(name), []byte(filepath.Join(dir, name)))
		}
	}
	write(t, filepath.Join(dir, "foster.yaml"), string(text))
	env := []string{"PATH=/bin"}
	for _, m := range variables.FindAllSubmatch(text, -1) {
		env = append(env, string(m[1])+"=1")
	}
	return config.Load(config.Source{Dir: dir, Files: []string{"foster.yaml"}, Environ: env})
}

func write(t testing.TB, file, data string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(data), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func allProblems(err error) string {
	e, ok := config.IsError(err)
	if !ok {
		return err.Error()
	}
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

func writeWanted(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	kept := a.Files[:0]
	for _, f := range a.Files {
		if f.Name != "foster.yaml" {
			kept = append(kept, f)
		}
	}
	a.Files = append(kept, txtar.File{Name: "foster.yaml", Data: []byte(got)})
	if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
		t.Fatal(err)
	}
}
