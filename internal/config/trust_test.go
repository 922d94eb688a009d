package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// mine and theirs are users that need not be in the user database.
const (
	mine   = 42001
	theirs = 42002
)

func needRoot(t *testing.T) {
	var err error
	if os.Geteuid() != 0 {
		err = errors.New("not root")
	}
	leaktest.Need(t, "root", err)
}

// owned makes a file, or a folder with a mode that is one, of a user.
func owned(t *testing.T, path string, uid int, mode os.FileMode) {
	t.Helper()
	var err error
	switch {
	case mode.IsDir():
		err = os.MkdirAll(path, 0o700)
	default:
		err = os.WriteFile(path, []byte("apps: {web: {command: x}}\n"), 0o600)
	}
	if err := errors.Join(err, os.Chown(path, uid, uid), os.Chmod(path, mode)); err != nil {
		t.Fatal(err)
	}
}

func TestAFileThatAnotherCouldHaveWrittenIsDistrusted(t *testing.T) {
	needRoot(t)
	const dir, sticky = os.ModeDir | 0o755, os.ModeDir | os.ModeSticky | 0o777
	me, root := caller{mine, -1}, caller{0, -1}
	for name, try := range map[string]struct {
		who            caller
		folder, file   int // owners
		folderMode     os.FileMode
		fileMode       os.FileMode
		want           string // "": trusted
		linkTo, linkOf int    // the owner of a file that the name links to, and of the link; 0: it is no link
	}{
		"mine":                        {who: me, folder: mine, file: mine, folderMode: dir, fileMode: 0o644},
		"root's":                      {who: me, folder: 0, file: 0, folderMode: dir, fileMode: 0o644},
		"root's in mine":              {who: me, folder: mine, file: 0, folderMode: dir, fileMode: 0o600},
		"another's":                   {who: me, folder: theirs, file: theirs, folderMode: dir, fileMode: 0o644, want: "it belongs to"},
		"another's in mine":           {who: me, folder: mine, file: theirs, folderMode: dir, fileMode: 0o644, want: "it belongs to"},
		"mine in another's":           {who: me, folder: theirs, file: mine, folderMode: dir, fileMode: 0o644, want: "its folder, "},
		"mine, that all can write":    {who: me, folder: mine, file: mine, folderMode: dir, fileMode: 0o666, want: "it belongs to the user with uid 42001, but others can write it, too"},
		"mine, of a group":            {who: me, folder: mine, file: mine, folderMode: dir, fileMode: 0o664, want: "others can write it"},
		"mine in a folder of all":     {who: me, folder: mine, file: mine, folderMode: os.ModeDir | 0o777, fileMode: 0o644, want: "its folder, "},
		"mine in a folder of a group": {who: me, folder: mine, file: mine, folderMode: os.ModeDir | 0o775, fileMode: 0o644, want: "its folder, "},
		"mine in one as /tmp":         {who: me, folder: 0, file: mine, folderMode: sticky, fileMode: 0o644, want: "others can write it"},
		"root's in one as /tmp":       {who: me, folder: 0, file: 0, folderMode: sticky, fileMode: 0o644, want: "others can write it"},
		"a user's, to root":           {who: root, folder: mine, file: mine, folderMode: dir, fileMode: 0o644, want: "it belongs to"},
		"a user's in root's":          {who: root, folder: 0, file: mine, folderMode: dir, fileMode: 0o644, want: "it belongs to"},
		"root's in a user's":          {who: root, folder: mine, file: 0, folderMode: dir, fileMode: 0o644, want: "its folder, "},
		"root's, of root's group":     {who: root, folder: 0, file: 0, folderMode: dir, fileMode: 0o664, want: "others can write it"},
		"by sudo, the user's":         {who: caller{0, mine}, folder: mine, file: mine, folderMode: dir, fileMode: 0o644},
		"by sudo, root's":             {who: caller{0, mine}, folder: 0, file: 0, folderMode: dir, fileMode: 0o644},
		"by sudo, another's":          {who: caller{0, mine}, folder: theirs, file: theirs, folderMode: dir, fileMode: 0o644, want: "it belongs to"},
		"a link of mine to mine":      {who: me, folder: mine, file: mine, folderMode: dir, fileMode: 0o644, linkTo: mine, linkOf: mine},
		"a link of mine to another's": {who: me, folder: mine, file: mine, folderMode: dir, fileMode: 0o644, linkTo: theirs, linkOf: mine, want: "it belongs to"},
		"a link of another to mine":   {who: me, folder: mine, file: mine, folderMode: dir, fileMode: 0o644, linkTo: mine, linkOf: theirs, want: "it belongs to"},
	} {
		t.Run(name, func(t *testing.T) {
			folder := filepath.Join(t.TempDir(), "project")
			owned(t, folder, try.folder, try.folderMode)
			path := filepath.Join(folder, "foster.yaml")
			if try.linkOf == 0 {
				owned(t, path, try.file, try.fileMode)
			} else {
				other := filepath.Join(t.TempDir(), "other")
				owned(t, other, try.linkTo, os.ModeDir|0o755)
				owned(t, filepath.Join(other, "real.yaml"), try.linkTo, try.fileMode)
				if err := errors.Join(os.Symlink(filepath.Join(other, "real.yaml"), path), os.Lchown(path, try.linkOf, try.linkOf)); err != nil {
					t.Fatal(err)
				}
			}
			_, why, err := try.who.distrusts(path)
			if err != nil || (why == "") != (try.want == "") || !strings.Contains(why, try.want) {
				t.Errorf("%q, %v, want %q", why, err, try.want)
			}
		})
	}
}

func TestALinkToAFileInAFolderOfAllIsDistrusted(t *testing.T) {
	folder, open := t.TempDir(), t.TempDir()
	real, path := filepath.Join(open, "real.yaml"), filepath.Join(folder, "foster.yaml")
	owned(t, real, os.Geteuid(), 0o600)
	if err := errors.Join(os.Chmod(folder, 0o700), os.Chmod(open, 0o777), os.Symlink(real, path)); err != nil {
		t.Fatal(err)
	}
	if _, why, err := currentCaller().distrusts(path); err != nil || !strings.Contains(why, "its folder, "+open) {
		t.Errorf("%q, %v", why, err)
	}
}

func TestAllFilesOfAFoundProjectMustBeTrusted(t *testing.T) {
	for file, want := range map[string]string{
		"foster.yaml": "foster.yaml was not named, and isn't used: it belongs to", "more.yaml": "more.yaml was not named",
		"web.env": "web.env was not named", ".env": ".env was not named", "base.yaml": "base.yaml was not named",
	} {
		t.Run(file, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.Chmod(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{
				"foster.yaml": "include: more.yaml\napps: {web: {command: x, env_file: web.env, extends: {file: base.yaml, app: base}}}\n",
				"more.yaml":   "apps: {more: {command: x}}\n", "base.yaml": "apps: {base: {command: x}}\n", "web.env": "A=1\n", ".env": "B=1\n",
			} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := Load(Source{Dir: dir, Found: true}); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(filepath.Join(dir, file), 0o622); err != nil {
				t.Fatal(err)
			}
			_, err := Load(Source{Dir: dir, Found: true})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %q", err, want)
			}
			for _, s := range []Source{{Dir: dir}, {Dir: dir, Files: []string{"foster.yaml"}}, {Dir: dir, Files: []string{"foster.yaml"}, Found: true}} {
				if _, err := Load(s); err != nil {
					t.Errorf("%+v: %v", s, err)
				}
			}
		})
	}
}

func TestAnEnvFileOfAnotherBesideANamedFileIsRefused(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	owned(t, filepath.Join(dir, "foster.yaml"), 0, 0o644)
	owned(t, filepath.Join(dir, ".env"), theirs, 0o644)
	if err := os.WriteFile(filepath.Join(dir, ".env"), []byte("A=1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	named := Source{Dir: dir, Files: []string{"foster.yaml"}}
	if _, err := Load(named); err == nil || !strings.Contains(err.Error(), ".env was not named, and isn't used: it belongs to the user with uid 42002") {
		t.Errorf("%v", err)
	}
	if err := os.Chown(filepath.Join(dir, "foster.yaml"), theirs, theirs); err != nil { // who is trusted with the one is with the other
		t.Fatal(err)
	}
	if _, err := Load(named); err != nil {
		t.Error(err)
	}
}
