package journal

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

func TestFoldersAreMadeForTheUserAlone(t *testing.T) {
	dir := t.TempDir()
	state, run := filepath.Join(dir, "above", "state"), filepath.Join(dir, "run")
	t.Setenv("XDG_STATE_HOME", state)
	t.Setenv("XDG_RUNTIME_DIR", run)
	for range 2 {
		s, r, err := Folders()
		if err != nil || s != filepath.Join(state, "foster") || r != filepath.Join(run, "foster") {
			t.Fatalf("%s, %s, %v", s, r, err)
		}
		for _, path := range []string{s, r} {
			if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeDir|0o700 {
				t.Errorf("%s: %v, %v", path, info.Mode(), err)
			}
		}
	}
}

func TestFoldersWithoutVariables(t *testing.T) {
	home := t.TempDir()
	for _, tt := range []struct {
		name, stateHome, runtimeDir, home string
		uid                               int
		state, runtime                    string
	}{
		{"root", "", "", home, 0, "/var/lib/foster", "/run/foster"},
		{"a user", "", "", home, 1000, home + "/.local/state/foster", "/tmp/foster-1000"},
		{"relative", "a", "b", home, 1000, home + "/.local/state/foster", "/tmp/foster-1000"},
		{"not there yet", home + "/a", home + "/b", home, 1000, home + "/a/foster", home + "/b/foster"},
		{"another's, as sudo leaves it", home, home, "/x", os.Geteuid() + 1, "/x/.local/state/foster", "/tmp/foster-"},
		{"without a home", "", "", "", 1000, "", "/tmp/foster-1000"},
	} {
		t.Setenv("XDG_STATE_HOME", tt.stateHome)
		t.Setenv("XDG_RUNTIME_DIR", tt.runtimeDir)
		t.Setenv("HOME", tt.home)
		t.Setenv("TMPDIR", "/elsewhere")
		state, err := statePath(tt.uid)
		if state != tt.state || (err == nil) == (tt.state == "") {
			t.Errorf("%s: %q, %v", tt.name, state, err)
		}
		if err != nil && !strings.Contains(err.Error(), "HOME to a folder") {
			t.Errorf("%s: the error doesn't help: %v", tt.name, err)
		}
		if r := runtimePath(tt.uid); !strings.HasPrefix(r, tt.runtime) {
			t.Errorf("%s: %q", tt.name, r)
		}
	}
}

func TestAFolderThatIsNotPrivateIsRefused(t *testing.T) {
	dir, uid := t.TempDir(), os.Geteuid()
	make := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	link := filepath.Join(dir, "link")
	if err := os.Symlink(make("good", 0o700), link); err != nil {
		t.Fatal(err)
	}
	plain := filepath.Join(dir, "file")
	if err := os.WriteFile(plain, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		link:                 "is a symbolic link",
		plain:                "is not a folder",
		make("group", 0o750): "chmod 0700 ",
		make("all", 0o701):   "chmod 0700 ",
		make("write", 0o702): "mode 0702",
	} {
		err := private(path, uid)
		for _, part := range strings.Split(want, ".*") {
			if err == nil || !strings.Contains(err.Error(), part) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
	theirs := make("theirs", 0o700)
	if err := private(theirs, uid+1); err == nil || !strings.Contains(err.Error(), "not to you") {
		t.Errorf("another's: %v", err)
	}
	if err := os.Chown(theirs, 4711, -1); err != nil {
		leaktest.Need(t, "root", err)
	}
	if err := private(theirs, uid); err == nil {
		t.Error("another's was taken")
	}
}
