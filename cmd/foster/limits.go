package main

import (
	"fmt"
	"strconv"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/units"
)

// limits sets what the whole tree may use.
func (f *runFlags) limits(c *foster.Cmd) (err error) {
	if c.Limits.Memory, err = units.Size(f.memory); err != nil {
		return flagError("memory", err)
	}
	if c.Limits.CPU, err = strconv.ParseFloat(f.cpus, 64); err != nil || !(c.Limits.CPU == 0 || c.Limits.CPU >= 0.01 && c.Limits.CPU <= 1e6) {
		return flagError("cpus", fmt.Errorf("%q is no number of cores: write 0.5, 2 or 0.01 at least", f.cpus))
	}
	if c.Limits.PIDs, err = strconv.ParseInt(f.pids, 10, 64); err != nil || c.Limits.PIDs < 0 {
		return flagError("pids", fmt.Errorf("%q is no number of processes", f.pids))
	}
	limited := c.Limits != foster.Limits{}
	if limited && c.Containment != foster.Auto && c.Containment != foster.Cgroup {
		return flagError("contain", fmt.Errorf("limits are those of a cgroup: with --memory, --cpus and --pids it is auto or cgroup, not %s", c.Containment))
	}
	return nil
}
