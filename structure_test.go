package foster_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The tests in this file hold the source to the rules of CONTRIBUTING.md.

// source is one file of this module.
type source struct {
	path string // with slashes, from the module's root
	dir  string
	test bool
	file *ast.File
	text string
}

func sources(t *testing.T) []source {
	t.Helper()
	var list []source
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && path != ".") {
			return fs.SkipDir
		}
		if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil && path != "." {
			return fs.SkipDir // a module of its own
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments)
		if err != nil {
			return err
		}
		path = filepath.ToSlash(path)
		dir := "."
		if i := strings.LastIndexByte(path, '/'); i >= 0 {
			dir = path[:i]
		}
		list = append(list, source{path, dir, strings.HasSuffix(path, "_test.go"), file, string(text)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(list) < 30 {
		t.Fatalf("only %d files were found", len(list))
	}
	return list
}

func imports(f *ast.File) (paths []string) {
	for _, i := range f.Imports {
		paths = append(paths, strings.Trim(i.Path.Value, `"`))
	}
	return paths
}

const module = "github.com/foster-init/foster"

// layers are the packages from the top down: each imports only what stands below
// it.
var layers = []string{
	"bench/campaign", "examples/stack", "cmd/foster", "cmd/foster-init", "internal/pid1", "internal/supervise", "internal/api", "internal/importer", "internal/config",
	"internal/logs", "internal/history", "internal/probe", "internal/schedule", "internal/watch", "internal/activate", "client", "internal/frames",
	".", "proc", "internal/control", "internal/shim", "internal/stub", "internal/journal",
	"internal/contain", "internal/procfs", "internal/wire", "internal/units", "internal/escape", "internal/aging", "internal/sys",
}

func TestImportsPointDownwards(t *testing.T) {
	level := map[string]int{}
	for i, l := range layers {
		level[l] = i
	}
	for _, s := range sources(t) {
		if s.test || s.dir == "internal/leaktest" || s.dir == "internal/hosttest" {
			continue
		}
		own, ok := level[s.dir]
		if !ok {
			t.Errorf("%s: its package has no place in the layers", s.path)
		}
		for _, path := range imports(s.file) {
			rel, inside := strings.CutPrefix(path, module)
			if !inside {
				continue
			}
			rel = strings.TrimPrefix(rel, "/")
			if rel == "" {
				rel = "."
			}
			if below, ok := level[rel]; !ok || below <= own {
				t.Errorf("%s imports %s, which doesn't stand below it", s.path, path)
			}
		}
	}
}

func TestTheLibraryImportsOnlyTheStandardLibraryAndSys(t *testing.T) {
	library := layers[slices.Index(layers, "."):]
	for _, s := range sources(t) {
		if s.test || !slices.Contains(library, s.dir) && s.dir != "client" {
			continue
		}
		for _, path := range imports(s.file) {
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") && !strings.HasPrefix(path, module) && path != "golang.org/x/sys/unix" {
				t.Errorf("%s imports %s", s.path, path)
			}
		}
	}
}

// A program that is linked to libc takes about twice as long to start, and the shim is a
// start of the program: what os/user costs, each tree would pay.
func TestTheLibraryNeedsNoCgo(t *testing.T) {
	for _, system := range []string{"linux", "darwin", "freebsd"} {
		cmd := exec.Command("go", "list", "-deps", "-f", "{{if .CgoFiles}}{{.ImportPath}}{{end}}",
			".", "./proc", "./internal/shim", "./internal/pid1", "./cmd/foster-init")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOOS="+system, "GOFLAGS=")
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		if found := strings.Fields(string(out)); len(found) > 0 {
			t.Errorf("%s: the library imports packages that need cgo: %s", system, found)
		}
	}
}

// calls are system calls; what only names numbers and flags isn't.
var calls = regexp.MustCompile(`\b(unix\.[A-Z][a-z]\w*\(|syscall\.(Kill|Wait4|ForkExec|StartProcess|Exec|RawSyscall\w*|Syscall\w*|Set\w+|Mount|Umask|Pipe\w*|Dup\w*)\(|os\.(StartProcess|FindProcess)\()`)

// numbersOnly are the functions of package unix that call nothing.
var numbersOnly = regexp.MustCompile(`\bunix\.Signal(Name|Num)\(`)

func TestOnlyOnePackageMakesSystemCallsAndWaits(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || s.dir == "internal/sys" || s.dir == "internal/leaktest" || strings.HasPrefix(s.dir, "bench/") {
			continue
		}
		for n, line := range strings.Split(s.text, "\n") {
			code, _, _ := strings.Cut(line, "//")
			code = numbersOnly.ReplaceAllString(code, "")
			if call := calls.FindString(code); call != "" {
				t.Errorf("%s:%d calls %s…)", s.path, n+1, call)
			}
		}
	}
}

func TestEachFolderHasOnePackageDoc(t *testing.T) {
	docs := map[string][]string{}
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		if docs[s.dir] == nil {
			docs[s.dir] = []string{}
		}
		if s.file.Doc != nil {
			docs[s.dir] = append(docs[s.dir], s.path)
		}
	}
	for dir, files := range docs {
		if len(files) != 1 {
			t.Errorf("%s has package docs in %v, want one file", dir, files)
		}
	}
}

func TestFilesAreShortAndNamedForWhatTheyHold(t *testing.T) {
	vague := regexp.MustCompile(`(^|/)(util|utils|helper|helpers|common|misc)[^/]*\.go$`)
	for _, s := range sources(t) {
		if vague.MatchString(s.path) {
			t.Errorf("%s: the name says nothing", s.path)
		}
		if lines := strings.Count(s.text, "\n"); lines > 700 && !s.test {
			t.Errorf("%s has %d lines", s.path, lines)
		}
	}
}

// A test that is skipped in CI tries nothing: see internal/hosttest, which may skip, and
// the condition has:NAME of scripts, for which testscript has exec:NAME.
func TestOnlyOnePackageSkips(t *testing.T) {
	skip := regexp.MustCompile(`\b[a-z]+\.(Skip(f|Now)?\(|Short\(\))`)
	for _, s := range sources(t) {
		if s.dir == "internal/hosttest" || !s.test && s.dir != "internal/leaktest" {
			continue
		}
		for n, line := range strings.Split(s.text, "\n") {
			if call := skip.FindString(line); call != "" && !strings.Contains(line, "regexp.") {
				t.Errorf("%s:%d calls %s: use hosttest.Need, or Unless with a reason", s.path, n+1, call)
			}
		}
	}
	scripts, err := filepath.Glob("cmd/*/testdata/script/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, path := range scripts {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if found := regexp.MustCompile(`(?m)^(\[\S+\] )*\[!?(exec:|short\])`).Find(text); found != nil {
			t.Errorf("%s: %s is silent in CI: use [has:…]", path, found)
		}
	}
}

func TestNoTestSleepsInPlaceOfACondition(t *testing.T) {
	for _, s := range sources(t) {
		if !s.test || s.path == "structure_test.go" {
			continue
		}
		for n, line := range strings.Split(s.text, "\n") {
			if strings.Contains(line, "time.Sleep(") && !strings.Contains(line, "time.Hour") && !strings.Contains(line, "// polls") {
				t.Errorf("%s:%d sleeps", s.path, n+1)
			}
		}
	}
}

// What SECURITY.md claims has a test.
func TestEachTestThatSecurityNamesExists(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for _, s := range sources(t) {
		for _, d := range s.file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && s.test && f.Recv == nil {
				there[f.Name.Name] = true
			}
		}
	}
	claims := 0
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "| ") || strings.HasPrefix(line, "| claim |") {
			continue
		}
		claims++
		cells := strings.Split(line, " | ")
		if len(cells) != 2 {
			t.Errorf("not a claim and its tests: %s", line)
			continue
		}
		for name := range strings.SplitSeq(strings.TrimSuffix(strings.TrimSpace(cells[1]), " |"), ", ") {
			if strings.HasSuffix(name, ".txtar") {
				_, err := os.Stat(filepath.Join("cmd/foster/testdata/script", name))
				there[name] = err == nil
			}
			if !there[name] {
				t.Errorf("there is no test %q", name)
			}
		}
	}
	if claims < 20 {
		t.Errorf("only %d claims were found", claims)
	}
}
