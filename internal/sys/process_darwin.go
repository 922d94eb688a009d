package sys

import (
	"bytes"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// ProcessRow is what the kernel tells of a process by sysctl(3), kern.proc.
type ProcessRow struct {
	PID, PPID, PGID, Foreground int
	TTY                         uint32 // 0: none
	State                       byte   // as ps(1) shows it
	Name                        string
	UID, GID, RealUID           int
	Priority, Nice              int
	Flags                       int32
	Start                       uint64 // microseconds after 1970
	Ignored, Caught, Blocked    uint32
}

// ProcessTable reads one process, or all where pid is 0.
func ProcessTable(pid int) ([]ProcessRow, error) {
	procs, err := []unix.KinfoProc(nil), error(nil)
	if pid == 0 {
		procs, err = unix.SysctlKinfoProcSlice("kern.proc.all")
	} else {
		procs, err = unix.SysctlKinfoProcSlice("kern.proc.pid", pid)
	}
	if err != nil {
		return nil, err
	}
	rows := make([]ProcessRow, len(procs))
	for i := range procs {
		rows[i] = row(&procs[i])
	}
	return rows, nil
}

func row(k *unix.KinfoProc) ProcessRow {
	const letters = "?IRSTZ" // SIDL to SZOMB of sys/proc.h
	p, e := &k.Proc, &k.Eproc
	r := ProcessRow{
		PID: int(p.P_pid), PPID: int(e.Ppid), PGID: int(e.Pgid), Foreground: int(e.Tpgid), TTY: uint32(e.Tdev),
		Name: unix.ByteSliceToString(p.P_comm[:]), UID: int(e.Ucred.Uid), RealUID: int(e.Pcred.P_ruid),
		Priority: int(p.P_priority), Nice: int(p.P_nice), Flags: p.P_flag,
		Start:   uint64(p.P_starttime.Sec)*1e6 + uint64(p.P_starttime.Usec),
		Ignored: p.P_sigignore, Caught: p.P_sigcatch, Blocked: p.P_sigmask,
	}
	if e.Ucred.Ngroups > 0 {
		r.GID = int(e.Ucred.Groups[0])
	}
	if e.Tdev == -1 { // NODEV
		r.TTY, r.Foreground = 0, -1
	}
	r.State = '?'
	if n := int(p.P_stat); n > 0 && n < len(letters) {
		r.State = letters[n]
	}
	return r
}

// SessionOf gives the session that a process is in.
func SessionOf(pid int) (int, error) { return unix.Getsid(pid) }

// Arguments reads the arguments and the program of a process (sysctl(3),
// kern.procargs2), which only its user and root may.
func Arguments(pid int) (args []string, exe string, err error) {
	b, err := unix.SysctlRaw("kern.procargs2", pid)
	if err != nil {
		return nil, "", os.NewSyscallError("sysctl", err)
	}
	if len(b) < 4 {
		return nil, "", unix.EINVAL
	}
	count := int(binary.NativeEndian.Uint32(b))
	path, rest, _ := bytes.Cut(b[4:], []byte{0})
	rest = bytes.TrimLeft(rest, "\x00")
	for ; count > 0 && len(rest) > 0; count-- {
		var arg []byte
		arg, rest, _ = bytes.Cut(rest, []byte{0})
		args = append(args, string(arg))
	}
	return args, string(path), nil
}
