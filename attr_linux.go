package foster

import (
	"fmt"
	"syscall"

	"github.com/foster-init/foster/internal/wire"
)

// namespaces are the flags that can be passed on. Others would take the leader from its
// shim, or are Go's own.
const namespaces = syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUSER |
	syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | 0x02000000 | 0x80 // NEWCGROUP, NEWTIME

// takeSystemAttr takes over what only Linux has. Pdeathsig isn't needed: what it is for,
// the shim does.
func (c *Cmd) takeSystemAttr(a, rest *syscall.SysProcAttr) error {
	for _, f := range []struct {
		name string
		set  uintptr
	}{{"Cloneflags", a.Cloneflags}, {"Unshareflags", a.Unshareflags}} {
		if other := f.set &^ namespaces; other != 0 {
			return fmt.Errorf("SysProcAttr.%s: foster passes on flags of namespaces only: got %#x as well", f.name, other)
		}
	}
	c.AmbientCaps = a.AmbientCaps
	c.attr.Cloneflags, c.attr.Unshareflags = uint64(a.Cloneflags), uint64(a.Unshareflags)
	c.attr.UIDMappings, c.attr.GIDMappings = idMaps(a.UidMappings), idMaps(a.GidMappings)
	c.attr.Setgroups = a.GidMappingsEnableSetgroups
	rest.AmbientCaps, rest.Cloneflags, rest.Unshareflags, rest.Pdeathsig = nil, 0, 0, 0
	rest.UidMappings, rest.GidMappings, rest.GidMappingsEnableSetgroups = nil, nil, false
	return nil
}

func idMaps(rows []syscall.SysProcIDMap) (list []wire.IDMap) {
	for _, r := range rows {
		list = append(list, wire.IDMap{Inside: r.ContainerID, Outside: r.HostID, Size: r.Size})
	}
	return list
}

// callsCancel says whether a Cancel of a program's own can be called: it gets a handle on
// the leader, which is another's child, and a number alone could be a stranger's.
const callsCancel = true
