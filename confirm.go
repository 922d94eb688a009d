package foster

import (
	"errors"
	"os"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

// confirmBound bounds the wait for a shim that is told that an end is known.
const confirmBound = 5 * time.Second

// ConfirmEnd says that what Wait has told is known for good, and that all of Tree.Pipes
// was read: nobody has to be told again. It is for Cmd.ConfirmEnd and WithConfirmEnd,
// where it has to be called, and does nothing elsewhere. It waits until the tree has
// ended, and when it returns, the tree's name is free.
func (t *Tree) ConfirmEnd() {
	<-t.Done()
	t.confirming.Do(func() {
		if t.confirm != nil {
			t.confirm()
		}
	})
}

// confirmEnd has the shim forget the end of the tree, and waits until it has.
func (o *owner) confirmEnd() {
	conn := o.shim.Conn
	conn.Hurry(confirmBound)
	conn.Expect(confirmBound)
	err := conn.Send(nil, &wire.Confirm{})
	for err == nil {
		_, err = conn.Receive() // until the end of the connection
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		o.shared.holdsOn()
	}
	o.shim.Close()
	o.shared.leave()
	o.registered.end(false)
}
