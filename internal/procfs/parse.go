package procfs

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"strconv"
	"strings"
	"syscall"
)

// Status is what only /proc/PID/status has (proc_pid_status(5)).
type Status struct {
	RealUID, UID, SavedUID int // UID is the effective one
	RealGID, GID           int
	Tracer                 int    // 0: none
	NSPids                 []int  // from this namespace to the process's own; nil before Linux 4.1
	Pending, SharedPending uint64 // bit n-1 stands for signal n
	Blocked, Ignored       uint64
	Caught                 uint64
	SwapKB                 uint64
	Kernel                 bool // a kernel thread (Linux 6.8)
}

// Heeds says whether a process has prepared for a signal: it catches it, or blocks it, to
// wait for it by itself.
func (s *Status) Heeds(sig syscall.Signal) bool { return (s.Caught|s.Blocked)&bit(sig) != 0 }

// Ignores says whether nothing would come of a signal.
func (s *Status) Ignores(sig syscall.Signal) bool { return s.Ignored&bit(sig) != 0 }

func bit(sig syscall.Signal) uint64 { return 1 << (sig - 1) }

// ParseStatus parses the content of /proc/PID/status. A key stands at the
// beginning of a line; the kernel escapes newlines in a name.
func ParseStatus(b []byte) (Status, error) {
	s := Status{UID: -1}
	for line := range bytes.Lines(b) {
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			continue
		}
		if !s.set(string(key), strings.TrimSpace(string(value))) {
			return Status{}, ErrMalformed
		}
	}
	if s.UID < 0 {
		return Status{}, ErrMalformed
	}
	return s, nil
}

func (s *Status) set(key, value string) bool {
	mask := func(to *uint64) (ok bool) {
		v, err := strconv.ParseUint(value, 16, 64)
		*to = v
		return err == nil
	}
	switch key {
	case "Uid":
		return numbers(value, &s.RealUID, &s.UID, &s.SavedUID)
	case "Gid":
		return numbers(value, &s.RealGID, &s.GID)
	case "TracerPid":
		return numbers(value, &s.Tracer)
	case "Kthread":
		s.Kernel = value == "1"
	case "NSpid":
		for word := range strings.FieldsSeq(value) {
			pid, err := strconv.Atoi(word)
			if err != nil || pid < 0 {
				return false
			}
			s.NSPids = append(s.NSPids, pid)
		}
	case "SigPnd":
		return mask(&s.Pending)
	case "ShdPnd":
		return mask(&s.SharedPending)
	case "SigBlk":
		return mask(&s.Blocked)
	case "SigIgn":
		return mask(&s.Ignored)
	case "SigCgt":
		return mask(&s.Caught)
	case "VmSwap":
		kb, _, _ := strings.Cut(value, " ")
		v, err := strconv.ParseUint(kb, 10, 64)
		s.SwapKB = v
		return err == nil
	}
	return true
}

// numbers reads the first numbers of a line, none of them negative.
func numbers(value string, to ...*int) bool {
	words := strings.Fields(value)
	if len(words) < len(to) {
		return false
	}
	for i, p := range to {
		v, err := strconv.Atoi(words[i])
		if err != nil || v < 0 {
			return false
		}
		*p = v
	}
	return true
}

// ParseCgroup finds the path of version 2 in the content of /proc/PID/cgroup
// (cgroups(7)), and where that is the root, that of systemd's own hierarchy of
// version 1.
func ParseCgroup(b []byte) (path string, ok bool) {
	for line := range bytes.Lines(b) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if p, found := bytes.CutPrefix(line, []byte("0::")); found && (path == "" || path == "/") {
			path, ok = string(p), true
		}
		_, rest, _ := bytes.Cut(line, []byte(":"))
		if p, found := bytes.CutPrefix(rest, []byte("name=systemd:")); found && (path == "" || path == "/") {
			path, ok = string(p), true
		}
	}
	return path, ok
}

// ParseExecStart finds when a thread was last given a processor in the content of
// /proc/PID/sched, in nanoseconds of the scheduler's clock.
func ParseExecStart(b []byte) (nanoseconds uint64, ok bool) {
	_, rest, ok := bytes.Cut(b, []byte("\nse.exec_start"))
	if !ok {
		return 0, false
	}
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	_, value, ok := bytes.Cut(line, []byte(":"))
	if !ok {
		return 0, false
	}
	ms, frac, ok := strings.Cut(strings.TrimSpace(string(value)), ".")
	if !ok || len(frac) != 6 {
		return 0, false
	}
	whole, err := strconv.ParseUint(ms, 10, 44)
	part, err2 := strconv.ParseUint(frac, 10, 32)
	return whole*1e6 + part, err == nil && err2 == nil
}

// Socket is a line of /proc/net/tcp, tcp6, udp or udp6 (proc_pid_net(5)).
type Socket struct {
	Local, Remote netip.AddrPort
	State         byte // of the kernel's tcp_states.h
	UID           int
	Inode         uint64
}

// The states of a socket that waits for others.
const (
	TCPListen = 0x0a
	UDPBound  = 0x07
)

// ParseSockets parses such a file, its heading passed over. A line that isn't as
// promised is an error.
func ParseSockets(b []byte) ([]Socket, error) {
	var list []Socket
	heading := true
	for line := range bytes.Lines(b) {
		if heading {
			heading = false
			continue
		}
		f := strings.Fields(string(line))
		if len(f) < 10 {
			return nil, ErrMalformed
		}
		s, ok := parseSocket(f)
		if !ok {
			return nil, ErrMalformed
		}
		list = append(list, s)
	}
	return list, nil
}

func parseSocket(f []string) (s Socket, ok bool) {
	local, ok1 := parseEndpoint(f[1])
	remote, ok2 := parseEndpoint(f[2])
	state, err1 := strconv.ParseUint(f[3], 16, 8)
	uid, err2 := strconv.ParseUint(f[7], 10, 32)
	inode, err3 := strconv.ParseUint(f[9], 10, 64)
	s = Socket{local, remote, byte(state), int(uid), inode}
	return s, ok1 && ok2 && err1 == nil && err2 == nil && err3 == nil
}

// parseEndpoint reads an address and a port, in hexadecimal. The kernel prints each
// four bytes of the address as a number in the machine's own order.
func parseEndpoint(s string) (netip.AddrPort, bool) {
	a, p, ok := strings.Cut(s, ":")
	if !ok || len(a) != 8 && len(a) != 32 || len(p) != 4 {
		return netip.AddrPort{}, false
	}
	raw, err := hex.DecodeString(a)
	port, err2 := strconv.ParseUint(p, 16, 16)
	if err != nil || err2 != nil {
		return netip.AddrPort{}, false
	}
	for i := 0; i+4 <= len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	addr, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(addr, uint16(port)), ok
}

// TTYDriver is a line of /proc/tty/drivers: the terminals of a major number whose
// minor number is in a range.
type TTYDriver struct {
	Prefix      string // /dev/pts
	Major       uint32
	First, Last uint32
}

// ParseTTYDrivers parses /proc/tty/drivers; lines that aren't understood are passed
// over.
func ParseTTYDrivers(b []byte) (list []TTYDriver) {
	for line := range bytes.Lines(b) {
		f := strings.Fields(string(line))
		if len(f) < 4 || !strings.HasPrefix(f[1], "/dev/") {
			continue
		}
		first, last, ranged := strings.Cut(f[3], "-")
		if !ranged {
			last = first
		}
		major, err1 := strconv.ParseUint(f[2], 10, 12)
		lo, err2 := strconv.ParseUint(first, 10, 20)
		hi, err3 := strconv.ParseUint(last, 10, 20)
		if err1 == nil && err2 == nil && err3 == nil && lo <= hi {
			list = append(list, TTYDriver{f[1], uint32(major), uint32(lo), uint32(hi)})
		}
	}
	return list
}

// Name is the name of a terminal of this driver, below /dev.
func (d TTYDriver) Name(minor uint32) string {
	name := strings.TrimPrefix(d.Prefix, "/dev/")
	switch {
	case name == "pts":
		return "pts/" + strconv.Itoa(int(minor-d.First))
	case d.Major == 4 && name == "tty", d.First != d.Last:
		// A console is counted from 1, which is its minor number; the others from 0.
		if d.Major == 4 && name == "tty" {
			return "tty" + strconv.Itoa(int(minor))
		}
		return name + strconv.Itoa(int(minor-d.First))
	case d.First == d.Last && d.Major != 5:
		return name + "0"
	}
	return name
}

// SplitArgs is splitCmdline for other packages.
func SplitArgs(b []byte) []string { return splitCmdline(b) }
