package supervise

import (
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
)

func TestWhichEndsAreASuccess(t *testing.T) {
	code := func(n int) foster.Status { return foster.Status{Known: true, Code: n} }
	spec := config.App{Restart: config.Restart{SuccessCodes: []int{3, 143}}}
	for _, c := range []struct {
		name string
		exit foster.Exit
		err  error
		want bool
	}{
		{"0", foster.Exit{Leader: code(0)}, nil, true},
		{"1", foster.Exit{Leader: code(1)}, nil, false},
		{"a code that is no failure", foster.Exit{Leader: code(3)}, nil, true},
		{"a signal", foster.Exit{Leader: foster.Status{Known: true, Signal: 15}}, nil, false},
		{"not known", foster.Exit{}, nil, false},
		{"the lease is over", foster.Exit{Leader: code(0), Cause: foster.CauseExpired}, nil, false},
		{"the watchdog", foster.Exit{Leader: code(0), Cause: foster.CauseWatchdog}, nil, false},
		{"the shim was killed", foster.Exit{Leader: code(0), Cause: foster.CauseShimLost}, nil, false},
		{"the leader was lost, which is a failure", foster.Exit{Leader: code(0), Cause: foster.CauseLeaderLost}, foster.ErrLeaderLost, false},
		{"the leader was lost, which is none", foster.Exit{Leader: code(0), Cause: foster.CauseLeaderLost}, nil, true},
	} {
		if got := succeeded(&spec, c.exit, c.err); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
