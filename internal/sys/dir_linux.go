package sys

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls in this file are for reading many small files of /proc: a name is a
// byte slice that ends with a zero, below an open folder, so that nothing is
// allocated. Their errors are bare numbers.

// OpenFolder opens a folder for the other calls of this file. It is closed by
// [Close].
func OpenFolder(path string) (fd int, err error) {
	err = retry(func() (err error) {
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// OpenFolderAt is OpenFolder below another one.
func OpenFolderAt(dir int, name []byte) (int, error) {
	return openAt(dir, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC)
}

// ReadEntries reads entries of a folder as getdents64(2) gives them; 0 at its end.
func ReadEntries(dir int, buf []byte) (n int, err error) {
	err = retry(func() (err error) { n, err = unix.ReadDirent(dir, buf); return err })
	return n, err
}

// Rewind has the entries of a folder read again from the first.
func Rewind(dir int) error {
	_, err := unix.Seek(dir, 0, 0)
	return err
}

// ReadAt reads a file below a folder, as far as buf goes: by one call where the
// kernel gives such a file at once, else until its end.
func ReadAt(dir int, name, buf []byte, once bool) (n int, err error) {
	fd, err := openAt(dir, name, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fd)
	for n < len(buf) {
		m, err := unix.Read(fd, buf[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return n, err
		}
		n += max(m, 0)
		if m <= 0 || once {
			break
		}
	}
	return n, nil
}

// LinkAt reads a symbolic link below a folder.
func LinkAt(dir int, name, buf []byte) (int, error) {
	for {
		n, _, errno := unix.Syscall6(unix.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
			uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// OwnerAt gives the user and the group of a file below a folder.
func OwnerAt(dir int, name []byte) (uid, gid int, err error) {
	var st unix.Statx_t
	_, _, errno := unix.Syscall6(unix.SYS_STATX, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
		0, unix.STATX_UID|unix.STATX_GID, uintptr(unsafe.Pointer(&st)), 0)
	if errno != 0 {
		return 0, 0, errno
	}
	return int(st.Uid), int(st.Gid), nil
}

func openAt(dir int, name []byte, flags int) (int, error) {
	for {
		fd, _, errno := unix.Syscall6(unix.SYS_OPENAT, uintptr(dir), uintptr(unsafe.Pointer(&name[0])),
			uintptr(flags), 0, 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// Exists says whether there is a process of that number, also where /proc hides it
// or it may not be signalled.
func Exists(pid int) bool {
	return pid > 0 && unix.Kill(pid, 0) != unix.ESRCH
}

// Watch makes a file of a pidfd, by which [AwaitReadable] waits for the end of its
// process without a thread, and which closes it.
func Watch(pidfd int) (*os.File, error) {
	if err := unix.SetNonblock(pidfd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(pidfd), "pidfd"), nil
}

// Monotonic is the time since the machine was started, time suspended left out.
func Monotonic() (nanoseconds int64) {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts) != nil {
		return 0
	}
	return ts.Nano()
}
