package foster

import (
	"errors"
	"fmt"
	"time"

	"github.com/foster-init/foster/internal/journal"
)

// validTerms checks the fields that say on whose behalf a tree runs.
func (c *Cmd) validTerms() error {
	switch {
	case c.Watchdog < 0 || c.Grace < 0:
		return fmt.Errorf("a watchdog and a grace are 0 or more: got %v and %v", c.Watchdog, c.Grace)
	case max(c.Watchdog, c.Grace) > longestTime:
		return fmt.Errorf("a watchdog and a grace are at most %v: got %v and %v", longestTime, c.Watchdog, c.Grace)
	case c.Watchdog > 0 && c.Watchdog < time.Microsecond:
		return fmt.Errorf("a watchdog's time is told to the program in microseconds: got %v", c.Watchdog)
	case c.Owner < 0:
		return fmt.Errorf("an owner is the number of a process: got %d", c.Owner)
	case c.KeepOutput && (c.Stdout != nil || c.Stderr != nil):
		return errors.New("KeepOutput keeps what Stdout and Stderr would take: they must be nil")
	case c.Pipes && !c.KeepOutput:
		return errors.New("Pipes are those of KeepOutput: set KeepOutput, too")
	case c.ID != "":
		return journal.ValidID(c.ID)
	}
	return nil
}

// afterLeader is the cause for which the shim stops the rest when the leader has
// ended.
func (c *Cmd) afterLeader() Cause {
	switch {
	case c.Until == UntilLeader:
		return CauseLeaderEnded
	case c.OnLeaderLoss == LossStop:
		return CauseLeaderLost
	case c.OnLeaderLoss == LossFail:
		return CauseLeaderLostFail
	}
	return ""
}
