package watch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWhatCounts(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "assets"), 0o700); err != nil {
		t.Fatal(err)
	}
	m, err := newMatcher(Files{
		Paths:  []string{dir + "/**/*.go", dir + "/etc/*.conf", dir + "/assets", dir + "/x.{yaml,yml}"},
		Ignore: []string{dir + "/vendor", dir + "/**/*_test.go"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"main.go": true, "a/b/c.go": true, "a/b/c.txt": false, "a/b/c_test.go": false,
		"vendor/x/y.go": false, "vendored/y.go": true, "a/.git/x.go": false,
		"etc/a.conf": true, "etc/sub/a.conf": false, "etc/a.conf~": false,
		"assets/logo.png": true, "assets/deep/logo.png": true, "assets/.logo.png.swp": false, "assets/4913": false,
		"x.yaml": true, "x.yml": true, "x.yal": false,
	} {
		if got := m.counts(filepath.Join(dir, path)); got != want {
			t.Errorf("%s counts: %v", path, got)
		}
	}
	for path, want := range map[string]bool{"": true, "a/b": true, "vendor": false, "vendor/x": false, "a/.git": false, "..": false} {
		if got := m.holds(filepath.Join(dir, path)); got != want {
			t.Errorf("%s may hold what counts: %v", path, got)
		}
	}
}

// A glob without ** has nothing to find further down than it is long.
func TestFoldersThatCanHoldNothingAreNotWatched(t *testing.T) {
	m, err := newMatcher(Files{Paths: []string{"/srv/app-*/etc/*.conf"}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"/": false, "/srv": true, "/srv/app-1": true, "/srv/other": false, "/srv/app-1/etc": true, "/srv/app-1/lib": false, "/srv/app-1/etc/d": false,
	} {
		if got := m.holds(path); got != want {
			t.Errorf("%s may hold what counts: %v", path, got)
		}
	}
}

func TestWhatIsNoGlobIsAnError(t *testing.T) {
	for glob, want := range map[string]string{"/a/[b": "isn't a glob", "/a/{b": "isn't a glob", "a/*.go": "isn't absolute"} {
		if err := Check(glob); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", glob, err)
		}
	}
	if _, err := newMatcher(Files{}); err == nil {
		t.Error("no path at all is taken")
	}
}

// A glob that is taken matches in good time, and only files in folders that it holds.
func FuzzGlob(f *testing.F) {
	for _, seed := range [][2]string{
		{"/src/**/*.go", "/src/a/b.go"}, {"/a/{b,c/**}/d", "/a/c/x/d"}, {"/a/[!b-c]?\\*", "/a/d*"}, {"/**/**/**/x", "/a/b/c"}, {"/", "/"}, {"a", "/a"}, {"/{", "/{"}, {"/a/../b", "/b"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, glob, path string) {
		m, err := newMatcher(Files{Paths: []string{glob}})
		if checked := Check(glob); (checked == nil) != (err == nil) {
			t.Fatalf("%q: %v, but %v", glob, checked, err)
		}
		if err != nil || !filepath.IsAbs(path) || strings.IndexByte(path, 0) >= 0 {
			return
		}
		path = filepath.Clean(path)
		if m.counts(path) && path != "/" {
			for folder := filepath.Dir(path); within(m.paths[0].base, folder); folder = filepath.Dir(folder) {
				if !m.holds(folder) {
					t.Errorf("%q counts %q, but isn't looked for in %q", glob, path, folder)
				}
				if folder == "/" {
					break
				}
			}
		}
	})
}
