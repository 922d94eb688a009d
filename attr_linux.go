package foster

import (
	"errors"
	"reflect"
	"syscall"
)

var errSysProcAttr = errors.New("foster: the exec.Cmd has a SysProcAttr with more than " +
	"Credential, Setsid, Setpgid and Pdeathsig, which foster can't take over")

// unusableAttr says whether an attribute is set that foster has no equal for.
func unusableAttr(a *syscall.SysProcAttr) error {
	rest := *a
	rest.Credential, rest.Setsid, rest.Setpgid, rest.Pdeathsig = nil, false, false, 0
	if !reflect.ValueOf(rest).IsZero() {
		return errSysProcAttr
	}
	return nil
}
