// Package activate opens the listening sockets that an application is handed, and keeps
// them open while it is started anew: who connects meanwhile waits, and isn't refused.
package activate

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/foster-init/foster/internal/sys"
)

// Spec is a socket as the configuration says.
type Spec struct {
	Name    string
	Address string // see Check
	Mode    int    // of a unix socket's file; 0: as the umask says
}

// Set is the sockets of one application. Its methods may be called from any goroutine.
type Set struct {
	mu   sync.Mutex
	open []*socket
}

type socket struct {
	spec  Spec
	inode uint64 // of a unix socket's file
	file  *os.File
}

// Take gives the sockets that are wanted, in this order: those that are open already, and
// others, which it opens. Those that aren't wanted any more it closes. The files stay
// those of the set.
func (s *Set) Take(want []Spec) ([]*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var taken []*socket
	for _, w := range want {
		i := slices.IndexFunc(s.open, func(o *socket) bool { return o.spec == w })
		if i < 0 {
			continue
		}
		taken, s.open = append(taken, s.open[i]), slices.Delete(s.open, i, i+1)
	}
	s.closeAll() // before others take their places
	s.open = taken
	var files []*os.File
	for _, w := range want {
		i := slices.IndexFunc(s.open, func(o *socket) bool { return o.spec == w })
		if i < 0 {
			made, err := open(w)
			if err != nil {
				return nil, fmt.Errorf("socket %s: %w", w.Name, err)
			}
			i, s.open = len(s.open), append(s.open, made)
		}
		files = append(files, s.open[i].file)
	}
	return files, nil
}

// Close closes all, and removes the files of unix sockets.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closeAll()
}

func (s *Set) closeAll() {
	for _, o := range s.open {
		o.file.Close()
		o.remove()
	}
	s.open = nil
}

// Leave closes all here, and leaves them to who holds them besides.
func (s *Set) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.open {
		o.file.Close()
	}
	s.open = nil
}

// remove removes the file of a unix socket, unless it's another's by now.
func (o *socket) remove() {
	a, err := parse(o.spec.Address)
	if err != nil || a.network != "unix" || o.inode == 0 {
		return
	}
	if info, err := os.Lstat(a.where); err == nil && sys.Inode(info) == o.inode {
		_ = os.Remove(a.where) // else it's stale: who listens there next removes it
	}
}

// name is that of the file, by which it's known when it comes back from a shim.
func (o *socket) name() string {
	return fmt.Sprintf("%s%s %o %d %s", prefix, o.spec.Name, o.spec.Mode, o.inode, o.spec.Address)
}

const prefix = "socket "

// Adopt takes those of the files that are sockets which an earlier life of the supervisor
// has opened, and gives back the others. What the set has already, it closes.
func (s *Set) Adopt(files []*os.File) (others []*os.File) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range files {
		o, ok := recognize(f)
		switch {
		case !ok:
			others = append(others, f)
		case slices.ContainsFunc(s.open, func(has *socket) bool { return has.spec == o.spec }):
			f.Close() // another replica's: it is the same
		default:
			s.open = append(s.open, o)
		}
	}
	return others
}

func recognize(f *os.File) (*socket, bool) {
	rest, ok := strings.CutPrefix(f.Name(), prefix)
	if !ok {
		return nil, false
	}
	o := &socket{file: f}
	n, err := fmt.Sscanf(rest, "%s %o %d", &o.spec.Name, &o.spec.Mode, &o.inode)
	fields := strings.SplitN(rest, " ", 4)
	if err != nil || n != 3 || len(fields) != 4 {
		return nil, false
	}
	o.spec.Address = fields[3]
	return o, true
}
