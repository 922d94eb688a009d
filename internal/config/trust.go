package config

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// Whose files are used without being named. A project that is found in a folder above the
// current one may be unknown to the user: in /tmp/build/x, anybody may have written
// /tmp/foster.yaml. It is used only if nobody else could have: it, its folder, and each file
// that it reads belong to the user or to root, and others can't write them. That is what git
// does with its safe.directory. A file that is named is used, whoever wrote it, and so is one
// in the current folder, as make(1) does it.

// DistrustError is the refusal to use a file that another user could have written.
type DistrustError struct {
	Path string // of the file, absolute
	Why  string // whose it, or its folder, is, and who can write it
	Hint string // what can be done about it
}

func (e *DistrustError) Error() string {
	return fmt.Sprintf("%s was not named, and isn't used: %s", e.Path, e.Why)
}

// caller is the user on whose behalf files are read.
type caller struct {
	uid  int
	sudo int // who root was before sudo(8); else -1
}

func currentCaller() caller {
	c := caller{os.Geteuid(), -1}
	if c.uid == 0 {
		if before, err := strconv.ParseUint(os.Getenv("SUDO_UID"), 10, 31); err == nil {
			c.sudo = int(before)
		}
	}
	return c
}

// trusts says whether what a user writes may be used.
func (c caller) trusts(uid int) bool {
	return uid == 0 || uid == c.uid || c.sudo >= 0 && uid == c.sudo
}

// distrusts says why a file isn't used; "": it is. real is where it is, without links: who
// could change where they lead can't any more.
func (c caller) distrusts(path string) (real, why string, err error) {
	link, err := os.Lstat(path)
	if err != nil {
		return path, "", err
	}
	if real, err = filepath.EvalSymlinks(path); err != nil {
		return path, "", err
	}
	checks := []func() (string, error){
		func() (string, error) { return c.distrustsOwner("it", link), nil },
		func() (string, error) { return c.distrustsAt("it", real) },
		func() (string, error) {
			return c.distrustsAt("its folder, "+filepath.Dir(real)+",", filepath.Dir(real))
		},
		func() (string, error) {
			return c.distrustsAt("its folder, "+filepath.Dir(path)+",", filepath.Dir(path))
		},
	}
	for _, check := range checks {
		if why, err := check(); why != "" || err != nil {
			return real, why, err
		}
	}
	return real, "", nil
}

func (c caller) distrustsOwner(what string, info fs.FileInfo) string {
	if owner := sys.Owner(info); !c.trusts(owner) {
		return fmt.Sprintf("%s belongs to %s", what, ownerName(owner))
	}
	return ""
}

func (c caller) distrustsAt(what, path string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if why := c.distrustsOwner(what, info); why != "" {
		return why, nil
	}
	byAll, byGroup := info.Mode()&0o002 != 0, info.Mode()&0o020 != 0
	if !byAll && (!byGroup || c.hasAlone(sys.Group(info)) && !sys.HasACL(path)) {
		return "", nil
	}
	return fmt.Sprintf("%s belongs to %s, but others can write it, too (%s)", what, ownerName(sys.Owner(info)), info.Mode()), nil
}

// hasAlone says whether a group has no other member than this user, as the one that most
// systems make for each user: with the umask 002 that goes with it, all files of the user
// can be written by it. root has no such group.
func (c caller) hasAlone(gid int) bool { return c.uid != 0 && units.PrivateGroup(c.uid, gid) }

func ownerName(uid int) string {
	if name := units.UserName(uid); name != "" {
		return fmt.Sprintf("%s (uid %d)", name, uid)
	}
	return fmt.Sprintf("the user with uid %d", uid)
}

// trusted gives the path to read a file at, or a *DistrustError.
func (d *decoder) trusted(path string) (string, error) {
	if d.found == "" {
		return path, nil
	}
	real, why, err := currentCaller().distrusts(path)
	if err == nil && why != "" {
		err = &DistrustError{path, why, "read it first; if you trust who can write it, name the project's file: --file " + d.found}
	}
	return real, err
}

// trustedBeside says whether the file .env beside a file that was named is used: it wasn't
// named. In the current folder it is. Elsewhere it has to be of the user, of root, or of the
// owner of the named file, who is trusted with that.
func trustedBeside(env, named string) error {
	here, err := os.Getwd()
	info, eerr := os.Stat(env)
	if err != nil || eerr != nil || filepath.Dir(env) == here {
		return nil // what can't be looked at is told when it is read
	}
	owner := sys.Owner(info)
	if other, err := os.Stat(named); currentCaller().trusts(owner) || err == nil && owner == sys.Owner(other) {
		return nil
	}
	return &DistrustError{env, "it belongs to " + ownerName(owner), fmt.Sprintf("remove it; or if you trust it, chown it to the owner of %s, or to yourself", filepath.Base(named))}
}
