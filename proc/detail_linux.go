package proc

import (
	"bytes"
	"strconv"
)

// detail reads the columns that only ps(1) has a use for.
func (r *reader) detail(p *Process) {
	if r.want&Wait != 0 {
		if b, err := r.dir.Read(p.Thread, "wchan"); err == nil {
			if !bytes.Equal(b, []byte("0")) {
				p.WaitsIn = string(b)
			}
			p.known |= Wait
		}
	}
	if r.want&Locked != 0 {
		if b, err := r.dir.Read(p.Thread, "status"); err == nil {
			p.LockedKB, _ = kilobytes(b, "\nVmLck:")
			if kb, ok := kilobytes(b, "\nVmRSS:"); ok {
				p.Resident = kb << 10 // which stat only has about (proc_pid_stat(5))
			}
			p.known |= Locked
		}
	}
}

// kilobytes finds a line of /proc/PID/status. Kernel threads and zombies haven't it:
// they have no memory.
func kilobytes(status []byte, key string) (uint64, bool) {
	_, rest, ok := bytes.Cut(status, []byte(key))
	if !ok {
		return 0, false
	}
	number, _, _ := bytes.Cut(bytes.TrimSpace(rest), []byte(" "))
	n, err := strconv.ParseUint(string(number), 10, 54)
	return n, err == nil
}
