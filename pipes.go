package foster

import (
	"os"
	"sync"
)

// pipes are the reading ends of a tree's outputs that the caller reads by itself.
type pipes struct {
	mu   sync.Mutex
	ends map[uint8]*os.File
}

func takePipes(list []*output) *pipes {
	if len(list) == 0 {
		return nil
	}
	p := &pipes{ends: map[uint8]*os.File{}}
	for _, out := range list {
		p.ends[out.stream] = out.r
	}
	return p
}

// Pipes gives the reading ends of the pipes that the tree writes to, where Cmd.Pipes or
// WithPipes asked for them; nil otherwise. They are the caller's, who closes them: a
// second call gives nil. They don't block (O_NONBLOCK), and are made for os.File.Read as
// for tee(2) and splice(2) by os.File.SyscallConn.
//
// Wait doesn't wait until they were read, nor does it close them. When it has returned,
// all that the tree wrote is in them; who reads then until a read would block has it
// all. The end of the file may never come: a process outside of the tree may hold the
// other end. What was read here nobody else gets. When this program ends before the tree
// does, the rest is for who attaches within Cmd.Grace, also where the tree ends
// meanwhile; what is left in the pipes of a tree whose end this program has seen is its
// own to read, and lost with it, unless Cmd.ConfirmEnd keeps them until all was read.
func (t *Tree) Pipes() (stdout, stderr *os.File) {
	if t.pipes == nil {
		return nil, nil
	}
	t.pipes.mu.Lock()
	defer t.pipes.mu.Unlock()
	stdout, stderr = t.pipes.ends[1], t.pipes.ends[2]
	t.pipes.ends = nil
	return stdout, stderr
}
