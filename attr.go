package foster

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// attributes are what of a syscall.SysProcAttr has no field of its own in Cmd.
type attributes struct {
	wire.Attr
	setctty    bool
	foreground bool
	tty        int // of this program, where foreground
}

// takeAttr takes over what os/exec hands to the system as it is. The error names a field
// that has no equal here.
func (c *Cmd) takeAttr(a *syscall.SysProcAttr) error {
	rest := *a
	c.Credential, c.Setsid, c.Chroot = a.Credential, a.Setsid, a.Chroot
	c.attr.Noctty, c.attr.Ctty = a.Noctty, a.Ctty
	c.attr.setctty, c.attr.foreground, c.attr.tty = a.Setctty, a.Foreground, a.Ctty
	rest.Credential, rest.Setsid, rest.Setpgid, rest.Chroot = nil, false, false, ""
	rest.Noctty, rest.Setctty, rest.Foreground, rest.Ctty = false, false, false, 0
	if err := c.takeSystemAttr(a, &rest); err != nil {
		return err
	}
	switch {
	case a.Setctty && a.Foreground:
		return errors.New("SysProcAttr.Setctty and SysProcAttr.Foreground don't go together: want one of them")
	case a.Setctty && !a.Setsid:
		return errors.New("SysProcAttr.Setctty needs Setsid")
	case a.Foreground && a.Setsid:
		return errors.New("SysProcAttr.Foreground is for a process of this session: it doesn't go together with Setsid")
	}
	fields := reflect.ValueOf(rest)
	for i := range fields.NumField() {
		if f := fields.Field(i); !f.IsZero() {
			name := fields.Type().Field(i).Name
			return fmt.Errorf("SysProcAttr.%s: foster has no equal: %s", name, attrHints[name])
		}
	}
	return nil
}

// attrHints say what to do instead, or why.
var attrHints = map[string]string{
	"Pgid":        "each tree's leader leads a process group of its own",
	"Ptrace":      "the shim is the parent, and doesn't trace",
	"UseCgroupFD": "set Cmd.Containment to Cgroup, and Cmd.Limits",
	"CgroupFD":    "set Cmd.Containment to Cgroup, and Cmd.Limits",
	"PidFD":       "Tree.Signal has a handle of its own, on each process of the tree",
	"Jail":        "start jail(8) as the program",
}

// terminal is the terminal that the program gets at its start: Cmd.Terminal, or that of a
// SysProcAttr; nil: none. What is opened for it is in c.childFiles.
func (c *Cmd) terminal(files []*os.File) (*os.File, error) {
	switch {
	case c.Terminal != nil || !c.attr.setctty && !c.attr.foreground:
		return c.Terminal, nil
	case c.attr.setctty:
		// Ctty counts the program's descriptors, of which the nil ones aren't in files.
		n := c.attr.Ctty
		for i, f := range c.ExtraFiles {
			if f == nil && 3+i < c.attr.Ctty {
				n--
			}
		}
		if n < 0 || n >= len(files) || !sys.IsTerminal(files[n]) {
			return nil, fmt.Errorf("SysProcAttr.Ctty: descriptor %d of the program is no terminal: %w", c.attr.Ctty, syscall.ENOTTY)
		}
		return files[n], nil
	}
	fd, err := sys.Dup(c.attr.tty)
	if err != nil {
		return nil, fmt.Errorf("SysProcAttr.Ctty: descriptor %d of this program: %w", c.attr.tty, err)
	}
	tty := os.NewFile(uintptr(fd), "terminal")
	c.childFiles = append(c.childFiles, tty)
	if !sys.IsTerminal(tty) {
		return nil, fmt.Errorf("SysProcAttr.Ctty: descriptor %d of this program is no terminal: %w", c.attr.tty, syscall.ENOTTY)
	}
	return tty, nil
}
