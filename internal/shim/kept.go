package shim

import "github.com/foster-init/foster/internal/sys"

// handKept gives the next owner's side the descriptors that are only held: a terminal, or
// sockets that nobody should have to open anew because an owner was killed.
func (t *terms) handKept() (fds []int, err error) {
	for _, fd := range t.kept {
		n, err := sys.Dup(fd)
		if err != nil {
			sys.CloseAll(fds)
			return nil, err
		}
		fds = append(fds, n)
	}
	return fds, nil
}
