package sys

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// MaxFiles is how many descriptors one message can carry; the limit of Linux
// (SCM_MAX_FD, 253) is the lowest of the systems that foster runs on.
const MaxFiles = 250

// Socketpair makes a connected pair of unix stream sockets, closed on exec. Both
// ends are in non-blocking mode, as [Socket] wants them.
func Socketpair() (a, b *os.File, err error) {
	if err := fault("socketpair"); err != nil {
		return nil, nil, err
	}
	fds, err := socketpair()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	return os.NewFile(uintptr(fds[0]), "shim"), os.NewFile(uintptr(fds[1]), "owner"), nil
}

// SendFiles writes all of p to a stream socket. The descriptors travel with its
// first byte; there are at most [MaxFiles] of them.
func SendFiles(sock *os.File, p []byte, fds []int) error {
	for len(p) > 0 {
		n, err := sendSome(sock, p, fds, true)
		if err != nil {
			return err
		}
		p, fds = p[n:], nil
	}
	return nil
}

// TrySendFiles is SendFiles without waiting: it gives how many bytes were written. The
// descriptors have travelled if it is more than 0.
func TrySendFiles(sock *os.File, p []byte, fds []int) (int, error) {
	n, err := sendSome(sock, p, fds, false)
	if errors.Is(err, unix.EAGAIN) {
		return 0, nil
	}
	return n, err
}

func sendSome(sock *os.File, p []byte, fds []int, wait bool) (n int, err error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, err
	}
	var rights []byte
	if len(fds) > 0 {
		rights = unix.UnixRights(fds...)
	}
	var werr error
	err = raw.Write(func(fd uintptr) bool {
		werr = retry(func() (err error) {
			n, err = unix.SendmsgN(int(fd), p, rights, nil, unix.MSG_NOSIGNAL)
			return err
		})
		return werr != unix.EAGAIN || !wait
	})
	return max(n, 0), errors.Join(err, os.NewSyscallError("sendmsg", werr))
}

// received is room for what is read in one go. It is taken only when there is
// something to read: of a thousand sockets, nearly all are idle.
type received struct {
	data [16 << 10]byte
	oob  [2 << 10]byte // more than MaxFiles descriptors take
}

var rooms = sync.Pool{New: func() any { return new(received) }}

// ReceiveFiles reads what a stream socket holds, appends it to p, and gives the
// descriptors that came with it, which are closed on exec. It waits for the
// first byte. It is an io.EOF when the other side is gone, and a syscall.ECONNRESET, too, when
// that had left unread what was sent to it (unix(7)).
func ReceiveFiles(sock *os.File, p []byte) (_ []byte, fds []int, err error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return p, nil, err
	}
	var room *received
	var n, oobn, flags int
	var rerr error
	err = raw.Read(func(fd uintptr) bool {
		room = rooms.Get().(*received)
		rerr = retry(func() (err error) {
			n, oobn, flags, _, err = unix.Recvmsg(int(fd), room.data[:], room.oob[:], recvFlags)
			return err
		})
		if rerr == unix.EAGAIN {
			rooms.Put(room)
			room = nil
		}
		return rerr != unix.EAGAIN
	})
	if room != nil {
		defer rooms.Put(room)
	}
	if err := errors.Join(err, os.NewSyscallError("recvmsg", rerr)); err != nil {
		if errors.Is(rerr, unix.ECONNRESET) {
			err = fmt.Errorf("%w: %w", io.EOF, err)
		}
		return p, nil, err
	}
	fds, err = parseRights(room.oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = errors.New("recvmsg: descriptors were lost: is the limit on open files reached?")
	}
	if err != nil {
		CloseAll(fds)
		return p, nil, err
	}
	if n == 0 {
		return p, nil, io.EOF
	}
	return append(p, room.data[:n]...), fds, nil
}

func parseRights(oob []byte) (fds []int, err error) {
	if len(oob) == 0 {
		return nil, nil
	}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, err
	}
	for i := range msgs {
		got, err := unix.ParseUnixRights(&msgs[i])
		if err != nil {
			continue // another kind of control message: not ours
		}
		fds = append(fds, got...)
	}
	for _, fd := range fds {
		if recvFlags == 0 { // there is no MSG_CMSG_CLOEXEC
			unix.CloseOnExec(fd)
		}
	}
	return fds, nil
}

// Close closes a bare descriptor.
func Close(fd int) { _ = unix.Close(fd) } // it's closed whatever the answer is

// CloseAll closes bare descriptors.
func CloseAll(fds []int) {
	for _, fd := range fds {
		Close(fd)
	}
}

// CloseOnExec has a descriptor closed when this process executes another program.
func CloseOnExec(fd int) { unix.CloseOnExec(fd) }

// IsSocket says whether fd is open and a socket.
func IsSocket(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE)
	return err == nil
}

// AdoptSocket takes over an inherited socket: it will be closed on exec, and is
// in non-blocking mode.
func AdoptSocket(fd int) (*os.File, error) {
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	return os.NewFile(uintptr(fd), "owner"), nil
}

// PeerOf is [Peer] of a file.
func PeerOf(sock *os.File) (pid, uid int, err error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, 0, err
	}
	cerr := raw.Control(func(fd uintptr) { pid, uid, err = Peer(int(fd)) })
	return pid, uid, errors.Join(err, cerr)
}

// PeerGroups gives the user on the other side of a socket, and the groups that it was in
// when it connected: the first is that of its process, and may be there twice.
func PeerGroups(sock syscall.Conn) (uid int, groups []int, err error) {
	raw, err := sock.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	cerr := raw.Control(func(fd uintptr) { uid, groups, err = peerGroups(int(fd)) })
	return uid, groups, errors.Join(err, cerr)
}
