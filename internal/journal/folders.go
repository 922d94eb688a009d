package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"github.com/foster-init/foster/internal/sys"
)

// Folders gives the folder of the journal and that of the sockets, and makes them
// where they aren't there. The first is $XDG_STATE_HOME/foster, else /var/lib/foster
// for root and ~/.local/state/foster for others; the second $XDG_RUNTIME_DIR/foster,
// else /run/foster for root and /tmp/foster-UID for others. A variable that names
// another user's folder, as sudo may leave it, or no absolute path, counts as not set.
func Folders() (state, runtime string, err error) {
	uid := os.Geteuid()
	if state, err = statePath(uid); err != nil {
		return "", "", err
	}
	runtime = runtimePath(uid)
	for _, f := range []struct{ path, variable string }{{state, "XDG_STATE_HOME"}, {runtime, "XDG_RUNTIME_DIR"}} {
		if err := private(f.path, uid); err != nil {
			return "", "", fmt.Errorf("no folder to find trees and projects by: %w; set %s to a folder that belongs to you", err, f.variable)
		}
	}
	return state, runtime, nil
}

func statePath(uid int) (string, error) {
	if dir, ok := ownVariable("XDG_STATE_HOME", uid); ok {
		return filepath.Join(dir, "foster"), nil
	}
	if uid == 0 {
		return "/var/lib/foster", nil
	}
	if sys.IsElevated() {
		return "", errors.New("no folder to find trees and projects by: this program is setuid, so HOME is not used")
	}
	home := os.Getenv("HOME")
	if !filepath.IsAbs(home) {
		return "", fmt.Errorf("no folder to find trees and projects by: HOME is %q; set XDG_STATE_HOME or HOME to a folder that belongs to you", home)
	}
	return filepath.Join(home, ".local", "state", "foster"), nil
}

func runtimePath(uid int) string {
	if dir, ok := ownVariable("XDG_RUNTIME_DIR", uid); ok {
		return filepath.Join(dir, "foster")
	}
	if uid == 0 {
		return "/run/foster"
	}
	// Not $TMPDIR: two sessions of one user must find the same sockets.
	return "/tmp/foster-" + strconv.Itoa(uid)
}

// ownVariable gives the folder that a variable names, unless it's there and another's.
func ownVariable(name string, uid int) (string, bool) {
	dir := os.Getenv(name)
	if !filepath.IsAbs(dir) || sys.IsElevated() {
		return "", false
	}
	info, err := os.Stat(dir)
	return dir, err != nil || sys.Owner(info) == uid
}

// private makes a folder that only this user can enter, or proves that it is one. No
// other can replace it then, as long as those above it are the user's or the system's.
func private(path string, uid int) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	switch {
	case info.Mode()&os.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, which foster doesn't follow", path)
	case !info.IsDir():
		return fmt.Errorf("%s is not a folder", path)
	case sys.Owner(info) != uid:
		return fmt.Errorf("%s belongs to user %d, not to you (%d)", path, sys.Owner(info), uid)
	case info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("%s is open to others (mode %04o): chmod 0700 %[1]s", path, info.Mode().Perm())
	}
	return nil
}
