//go:build !linux || (!amd64 && !arm64)

package shim

import (
	"errors"
	"os"

	"github.com/foster-init/foster/internal/wire"
)

// Here a shim is awake all the time: see park_linux.go.

type parked struct{}

// Files are the descriptors of a start.
type Files struct {
	Program           []*os.File
	Cgroup, Terminal  *os.File
	Listener, Journal *os.File
	Owner             int
	Outputs, Kept     []*os.File
}

// ErrNoStub says that there can be no stub here.
var ErrNoStub = errors.New("a shim can't be parked here")

// CanPark says whether a stub can start this program.
func CanPark(*wire.Start, wire.Containment) bool { return false }

// LaunchParked is ErrNoStub.
func LaunchParked(*wire.Start, Files) (*Process, error) { return nil, ErrNoStub }

// Receive waits for the next message of the shim.
func (p *Process) Receive() (wire.Message, error) { return p.Conn.Receive() }

// IsParked is false.
func (p *Process) IsParked() bool { return false }

func awake(_, _, _ string) int {
	deny("here a shim isn't parked")
	return 125
}
