package sys

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func clockID(suspend bool) int {
	if suspend {
		return unix.CLOCK_BOOTTIME
	}
	return unix.CLOCK_MONOTONIC
}

// ClockID is the number of the clock that [Now] reads.
func ClockID(suspend bool) uint32 { return uint32(clockID(suspend)) }

// Now is the time since the machine was started; with suspend, the time that it was
// suspended counts (clock_gettime(2), CLOCK_BOOTTIME, else CLOCK_MONOTONIC).
func Now(suspend bool) time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(int32(clockID(suspend)), &ts) // both clocks are in every kernel that foster runs on
	return time.Duration(ts.Nano())
}

// Alarm tells when a time is over, by a clock that may count suspended time.
type Alarm struct{ f *os.File }

// NewAlarm makes an alarm that isn't set.
func NewAlarm(suspend bool) (*Alarm, error) {
	fd, err := unix.TimerfdCreate(clockID(suspend), unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, os.NewSyscallError("timerfd_create", err)
	}
	return &Alarm{os.NewFile(uintptr(fd), "alarm")}, nil
}

// Set sets the alarm to a time from now. A time that isn't positive is over at once.
func (a *Alarm) Set(d time.Duration) error {
	raw, err := a.f.SyscallConn()
	if err != nil {
		return err
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(int64(max(d, 1)))}
	var serr error
	err = raw.Control(func(fd uintptr) { serr = unix.TimerfdSettime(int(fd), 0, &spec, nil) })
	if err == nil {
		err = os.NewSyscallError("timerfd_settime", serr)
	}
	return err
}

// Wait waits until the time is over, or the alarm was closed.
func (a *Alarm) Wait() error {
	var buf [8]byte
	_, err := a.f.Read(buf[:])
	return err
}

// Close ends the alarm.
func (a *Alarm) Close() { a.f.Close() }

// ListenNotify makes the socket on which a program tells of itself (sd_notify(3)),
// in the abstract namespace, so that a program of another user reaches it too.
func ListenNotify(name string) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@" + name})
	}
	if err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("bind", err)
	}
	return os.NewFile(uintptr(fd), "notify"), nil
}

// ReceiveNotify waits for a datagram, and says who sent it. Descriptors that came
// along are closed, which is what the sender of BARRIER=1 waits for. Of one that is
// longer than buf, whose last line would be half a line, nothing is given.
func ReceiveNotify(f *os.File, buf []byte) (n, pid, uid int, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, 0, 0, err
	}
	oob := make([]byte, unix.CmsgSpace(MaxFiles*4)+unix.CmsgSpace(unix.SizeofUcred))
	var oobn, flags int
	var rerr error
	err = raw.Read(func(fd uintptr) bool {
		rerr = retry(func() (err error) {
			n, oobn, flags, _, err = unix.Recvmsg(int(fd), buf, oob, unix.MSG_CMSG_CLOEXEC)
			return err
		})
		return rerr != unix.EAGAIN
	})
	if err != nil {
		return 0, 0, 0, err
	}
	if rerr != nil {
		return 0, 0, 0, os.NewSyscallError("recvmsg", rerr)
	}
	if flags&unix.MSG_TRUNC != 0 {
		n = 0
	}
	pid, uid = -1, -1
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil {
		return n, pid, uid, nil // it has no sender then, and isn't heard
	}
	for i := range msgs {
		if fds, err := unix.ParseUnixRights(&msgs[i]); err == nil {
			CloseAll(fds)
		}
		if cred, err := unix.ParseUnixCredentials(&msgs[i]); err == nil {
			pid, uid = int(cred.Pid), int(cred.Uid)
		}
	}
	return n, pid, uid, nil
}

func streamSocket() (int, error) {
	return unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
}

func accept(fd int) (int, error) {
	n, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK)
	return n, err
}

// GrowPipe asks for a pipe that holds this many bytes; who may not have that keeps
// what there is (fcntl(2), F_SETPIPE_SZ).
func GrowPipe(f *os.File, size int) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, size) })
	}
}
