package sys

import (
	"encoding/binary"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// AskSockets asks the kernel for sockets of the calling thread's network namespace by
// sock_diag(7), and calls each with what each message of the answer holds.
func AskSockets(request []byte, each func(message []byte)) error {
	const sockDiagByFamily = 20 // SOCK_DIAG_BY_FAMILY of the kernel's sock_diag.h
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	// The kernel answers at once. Should it not, nobody waits for ever.
	patience := unix.NsecToTimeval(int64(2 * time.Second))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience); err != nil {
		return os.NewSyscallError("setsockopt", err)
	}
	b := make([]byte, unix.SizeofNlMsghdr, unix.SizeofNlMsghdr+len(request))
	binary.NativeEndian.PutUint32(b, uint32(cap(b)))
	binary.NativeEndian.PutUint16(b[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	if err := retry(func() error {
		return unix.Sendto(fd, append(b, request...), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, 64<<10)
	for {
		var n int
		err := retry(func() (err error) { n, err = unix.Read(fd, buf); return err })
		if err != nil {
			return os.NewSyscallError("recv", err)
		}
		for rest := buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(binary.NativeEndian.Uint32(rest))
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return os.NewSyscallError("recv", unix.EBADMSG)
			}
			message := rest[unix.SizeofNlMsghdr:size]
			switch binary.NativeEndian.Uint16(rest[4:]) {
			case unix.NLMSG_DONE:
				return nil
			case unix.NLMSG_ERROR:
				if len(message) >= 4 {
					if code := -int32(binary.NativeEndian.Uint32(message)); code > 0 {
						return os.NewSyscallError("sock_diag", unix.Errno(code))
					}
				}
				return os.NewSyscallError("sock_diag", unix.EBADMSG)
			default:
				each(message)
			}
			rest = rest[min(len(rest), (size+3)&^3):]
		}
	}
}

// BindNowhere makes a socket of TCP that is bound to a port that is free, and that neither
// listens nor is connected. It is closed by [Close].
func BindNowhere() (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrInet4{}); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("bind", err)
	}
	return fd, nil
}

// SameDescriptors says whether two threads share their table of descriptors (kcmp(2)).
// Not every kernel has the call, and not everyone may make it.
func SameDescriptors(a, b int) (bool, error) {
	const kcmpFiles = 2 // KCMP_FILES of the kernel's kcmp.h
	order, _, errno := unix.Syscall6(unix.SYS_KCMP, uintptr(a), uintptr(b), kcmpFiles, 0, 0, 0)
	if errno != 0 {
		return false, os.NewSyscallError("kcmp", errno)
	}
	return order == 0, nil
}

// ThreadID is the number of the calling thread.
func ThreadID() int { return unix.Gettid() }
