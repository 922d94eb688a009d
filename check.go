package foster

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// validText refuses a zero byte, at which the system would end the text. The value of a
// variable isn't told: it may be a secret.
func (c *Cmd) validText() error {
	check := func(text, format string, args ...any) error {
		if strings.IndexByte(text, 0) < 0 {
			return nil
		}
		return fmt.Errorf("%s holds a NUL byte: %w", fmt.Sprintf(format, args...), syscall.EINVAL)
	}
	errs := []error{check(c.Path, "Path %q", c.Path), check(c.Dir, "Dir %q", c.Dir), check(c.Chroot, "Chroot %q", c.Chroot)}
	for i, arg := range c.Args {
		errs = append(errs, check(arg, "Args[%d]", i))
	}
	for i, pair := range c.Env {
		name, _, _ := strings.Cut(pair, "=")
		errs = append(errs, check(pair, "Env[%d], the variable %q,", i, name))
	}
	return cmp.Or(errs...)
}

// validFiles refuses files that can't be handed over, and names the field.
func (c *Cmd) validFiles() error {
	check := func(field string, f *os.File) error {
		switch {
		case f == nil:
			return fmt.Errorf("%s is a nil *os.File: leave it out, or open it: %w", field, os.ErrInvalid)
		case !sys.IsOpen(f):
			return fmt.Errorf("%s: the file %q is closed: %w", field, f.Name(), os.ErrClosed)
		}
		return nil
	}
	var errs []error
	std := func(field string, v any) {
		if f, ok := v.(*os.File); ok {
			errs = append(errs, check(field, f))
		}
	}
	std("Stdin", c.Stdin)
	std("Stdout", c.Stdout)
	std("Stderr", c.Stderr)
	for i, f := range c.ExtraFiles {
		if f != nil { // closed in the program
			errs = append(errs, check(fmt.Sprintf("ExtraFiles[%d]", i), f))
		}
	}
	for i, f := range c.Keep {
		errs = append(errs, check(fmt.Sprintf("Keep[%d]", i), f))
	}
	if c.Terminal != nil {
		errs = append(errs, check("Terminal", c.Terminal))
	}
	return cmp.Or(errs...)
}
