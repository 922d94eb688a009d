package procfs

import (
	"bytes"
	"errors"
	"io/fs"
	"strconv"

	"github.com/foster-init/foster/internal/sys"
)

// Dir is an open /proc, with the buffers that reading many of its files takes. It
// is for one goroutine.
type Dir struct {
	fd   int
	name []byte
	buf  []byte
}

// largest is how much of a file is read at most; cmdline may be as long as
// RLIMIT_STACK allows.
const largest = 1 << 21

// OpenDir opens /proc, or in tests another folder.
func OpenDir(root string) (*Dir, error) {
	fd, err := sys.OpenFolder(root)
	if err != nil {
		return nil, err
	}
	return &Dir{fd: fd, name: make([]byte, 0, 64), buf: make([]byte, 32<<10)}, nil
}

// Close closes it.
func (d *Dir) Close() { sys.Close(d.fd) }

// Pids lists the processes that are there.
func (d *Dir) Pids() (pids []int32, err error) {
	if err := sys.Rewind(d.fd); err != nil {
		return nil, err
	}
	for {
		n, err := sys.ReadEntries(d.fd, d.buf)
		if err != nil || n == 0 {
			return pids, err
		}
		if pids == nil {
			pids = make([]int32, 0, 512)
		}
		pids = appendPids(pids, d.buf[:n])
	}
}

// Threads lists the threads of a process, the first one included as long as the process
// isn't reaped.
func (d *Dir) Threads(pid int) ([]int32, error) {
	fd, err := sys.OpenFolderAt(d.fd, d.path(pid, "task"))
	if err != nil {
		return nil, err
	}
	sub := Dir{fd: fd, name: d.name, buf: d.buf}
	defer sub.Close()
	return sub.Pids()
}

// OpenThreads opens the folder of this process's threads, each like a process of /proc.
func OpenThreads() (*Dir, error) { return OpenDir("/proc/self/task") }

// Children lists the children of the threads of d, zombies among them, newest last of each
// thread. It takes as long as there are children, however many processes there are. A list
// that changes while it is read may lack some; a kernel without CONFIG_PROC_CHILDREN has
// none, which is an [fs.ErrNotExist].
func (d *Dir) Children() (pids []int, err error) {
	threads, err := d.Pids()
	if err != nil {
		return nil, err
	}
	for _, thread := range threads {
		b, rerr := d.Read(int(thread), "children")
		if rerr != nil {
			err = rerr // that of a thread that has just ended, unless it is that of all
			continue
		}
		for field := range bytes.FieldsSeq(b) {
			if pid, ok := parsePid(field); ok {
				pids = append(pids, int(pid))
			}
		}
	}
	if len(pids) > 0 {
		err = nil
	}
	return pids, err
}

// path makes the name of a file of a process, with a zero at its end.
func (d *Dir) path(pid int, file string) []byte {
	d.name = strconv.AppendInt(d.name[:0], int64(pid), 10)
	if file != "" {
		d.name = append(d.name, '/')
		d.name = append(d.name, file...)
	}
	d.name = append(d.name, 0)
	return d.name
}

// Read reads a file of a process. What it gives is there until the next call.
func (d *Dir) Read(pid int, file string) ([]byte, error) {
	for {
		n, err := sys.ReadAt(d.fd, d.path(pid, file), d.buf, false)
		if err != nil || n < len(d.buf) || n >= largest {
			return d.buf[:n], err
		}
		d.buf = make([]byte, 2*len(d.buf))
	}
}

// ReadLine reads /proc/PID/stat into l, which is there until the next call.
func (d *Dir) ReadLine(pid int, l *Line) error {
	n, err := sys.ReadAt(d.fd, d.path(pid, "stat"), d.buf, true)
	if err != nil {
		return err
	}
	return ParseLine(d.buf[:n], l)
}

// Link reads a symbolic link of a process.
func (d *Dir) Link(pid int, file string) ([]byte, error) {
	n, err := sys.LinkAt(d.fd, d.path(pid, file), d.buf)
	return d.buf[:n], err
}

// Owner gives the user that a process's files belong to: its effective one, and
// root where it isn't dumpable, but for its own folder (proc(5)).
func (d *Dir) Owner(pid int) (uid, gid int, err error) { return sys.OwnerAt(d.fd, d.path(pid, "")) }

// Descriptors calls with what each open descriptor of a process, or of a thread, is a
// link to.
func (d *Dir) Descriptors(pid int, each func(target []byte)) error {
	fd, err := sys.OpenFolderAt(d.fd, d.path(pid, "fd"))
	if err != nil {
		return err
	}
	sub := Dir{fd: fd, name: d.name, buf: d.buf}
	defer sub.Close()
	// Descriptor 0 isn't a pid, but is a name here.
	numbers := []int32{0}
	rest, err := sub.Pids()
	if err != nil {
		return err
	}
	for _, n := range append(numbers, rest...) {
		target, err := sub.Link(int(n), "")
		switch {
		case err == nil:
			each(target)
		case !errors.Is(err, fs.ErrNotExist): // closed meanwhile
			return err // the folder may be listed by some who may not read the links
		}
	}
	return nil
}
