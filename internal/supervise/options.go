package supervise

import (
	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// Options is what a supervisor is made with.
type Options struct {
	// Load reads the configuration, for an update.
	Load func() (*config.Project, error)
	// Prepare does what an update needs that isn't of the applications, before it is
	// applied; an error refuses it. nil: nothing.
	Prepare func(next *config.Project) error
	State   string // folder of the project's notes, which this supervisor alone uses
	Version string
	Daemon  bool // in the background
	// Only are the applications to start, with what they depend on; none: all that
	// have autostart.
	Only []string
	// End has it take over what an earlier life has left only to stop that: nothing is
	// started. A SIGTERM isn't heeded then.
	End bool
	// EndOnly are the only ones that End takes over and stops, as if by hand, by EndPlan; none:
	// all. The others go on as they are, for their grace.
	EndOnly []client.Target
	EndPlan foster.StopPlan // what it leaves out is as the configuration says
}
