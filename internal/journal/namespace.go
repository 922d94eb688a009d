package journal

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// The entry of another PID namespace can't be judged here, but for one case: the kernel has
// ended all of a namespace whose process 1 is dead. So a foster that is process 1, as in a
// container, holds a lock for as long as it lives, in a file that its entries name. When the
// container is started anew on the same folder, that lock is free, and what was in it is gone.

const namespacePrefix = ".namespace-"

// namespaceLocks are the locks that this process holds as process 1, by their folders. They
// are never given back.
var namespaceLocks struct {
	sync.Mutex
	files map[string]*os.File
}

// holdNamespace takes the lock of this process's PID namespace where this is its process 1,
// and gives the name of the file; "" where it isn't, or has no such lock.
func holdNamespace(folder string, pid int) string {
	if pid != 1 {
		return ""
	}
	l := &namespaceLocks
	l.Lock()
	defer l.Unlock()
	f := l.files[folder]
	if f == nil || !isAt(f, f.Name()) {
		if f = newNamespaceLock(folder); f == nil {
			return ""
		}
		if l.files == nil {
			l.files = map[string]*os.File{}
		}
		l.files[folder] = f
	}
	return filepath.Base(f.Name())
}

func newNamespaceLock(folder string) *os.File {
	path := filepath.Join(folder, namespacePrefix+strconv.FormatUint(rand.Uint64(), 36))
	f, err := sys.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil
	}
	if ok, err := sys.TryLock(f, false); !ok || err != nil || !isAt(f, path) {
		f.Close() // it was taken for a leftover
		return nil
	}
	return f
}

// namespaceIsGone says whether process 1 of the PID namespace of an entry is proven dead.
func namespaceIsGone(folder string, e *wire.Entry) bool {
	if e.Namespace == "" || filepath.Base(e.Namespace) != e.Namespace {
		return false
	}
	f, err := open(filepath.Join(folder, e.Namespace), os.O_RDONLY)
	if err != nil {
		return false
	}
	defer f.Close()
	free, err := sys.TryLock(f, true)
	if err != nil || !free {
		return false
	}
	_ = sys.Unlock(f)
	return true
}

// namespaces removes the files of such locks that nobody holds and no entry names. Where an
// entry couldn't be read, it may name any.
func (p *pruner) namespaces() {
	found, problems, err := Scan(p.folder)
	if err != nil || len(problems) > 0 {
		return
	}
	paths, _ := filepath.Glob(filepath.Join(p.folder, namespacePrefix+"*")) // the pattern is valid
	for _, path := range paths {
		named := func(f Found) bool { return f.Entry.Namespace == filepath.Base(path) }
		if slices.ContainsFunc(found, named) {
			continue
		}
		f, err := open(path, os.O_RDWR)
		if err != nil {
			continue
		}
		if ok, err := lockAlone(f); ok && err == nil && isAt(f, path) {
			p.done(path, os.Remove(path))
		}
		_ = f.Close()
	}
}
