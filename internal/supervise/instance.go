package supervise

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/activate"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/schedule"
)

// instance is one replica of an application. The supervisor's loop owns it.
type instance struct {
	app      *app
	replica  int
	tree     *foster.Tree    // while there is one
	taken    time.Time       // when that was taken over; zero: this life has started it
	over     *ending         // how it has ended, while the hook after it is under way
	terminal *terminal       // of the run under way; nil: it has none
	meter    *meter          // of the tree of the run under way, or the last
	counted  reaping         // as the metrics have told; s.metering guards it
	treeID   string          // the same for each run: two at once can't be
	spec     config.App      // for the next start
	current  config.App      // of the run under way
	agreed   foster.StopPlan // how its shim stops it, where nothing else is asked for; zero: who has started it knows

	m       Machine
	since   time.Time
	cause   string
	removed bool // no longer of the project; gone when it has come to rest

	run       uint64             // tells the news of this run from that of those before
	starting  context.CancelFunc // cuts a start short
	plan      foster.StopPlan    // of the next stop: what it leaves out is as the configuration says
	owesHook  bool               // the hook after its end is to be run when what is left of it, or can't be had, has ended
	preparing <-chan struct{}    // closed when the hook before a stop, and its command, have ended; nil: there was no stop
	cutStop   context.CancelFunc // has the hook before a stop, and its command, end; nil: there was no stop
	endHook   context.CancelFunc // of the hook after the start; nil: there was none
	clock     *time.Timer        // of the backoff, and of looking after what is stuck
	ticks     int                // tells the clock's ring from one that was stopped
	due       time.Time
	schedule  *schedule.Schedule
	timetable *schedule.Timetable // while it may be due
	refused   bool                // its dependencies failed, when it was to run last
	held      bool                // it waits for one that was stopped
	goesOn    bool                // of a supervisor that was killed: it isn't run only because there is another
	attempts  attempts
	restarted bool // the next start is a restart
	by        string

	pid         int
	started     time.Time
	ready       bool
	told        bool                     // READY=1 of sd_notify(3)
	lineSeen    bool                     // that it is ready by
	forked      bool                     // its leader has exited with 0, and its daemon lives on
	leaderEnded bool                     // and others of the tree live on
	wasReady    bool                     // at any time of the run under way
	fault       string                   // why foster itself has ended the run under way, in systemd's words: "timeout", "watchdog"
	patience    *time.Timer              // until it has to be ready
	awaited     *atomic.Pointer[awaited] // which that is; nil: nobody reads its output
	healthy     bool                     // its readiness probe says so
	probing     context.CancelFunc
	probes      [probes]probeState
	health      string
	text        string
	facts       fact
	restarts    int
	launches    int // begun
	ends        int // trees that were proven empty, and starts of which nothing is left
	exit        *client.Exit
	record      client.Run // the last, as the history has it
	totals      totals
	left        []string          // survivors
	lostLines   *client.LostLines // of its log, the last that were; nil: none
}

// app is an application with its instances.
type app struct {
	spec      config.App
	instances []*instance        // by replica
	watched   *config.Watch      // the files that are watched
	unwatch   context.CancelFunc // ends that
	sockets   activate.Set
}

func (i *instance) name() string {
	if i.app.spec.Replicas == 1 && i.replica == 1 {
		return i.app.spec.Name
	}
	return fmt.Sprintf("%s.%d", i.app.spec.Name, i.replica)
}

// treeID names the tree of an instance, the same for each of its runs and for each life
// of the supervisor, so that the one that lives is found, and another can't be started
// beside it. No two instances have one name, of whichever projects. So it ends in a sum,
// instead of the replica's number alone, where it would be too long, and where the
// application's name has a dot: rv with x.b, and rv.x with b, would both be rv.x.b.1.
func treeID(project, app string, replica int) string {
	const most = 63
	id := fmt.Sprintf("%s.%s.%d", project, app, replica)
	if len(id) <= most && !strings.Contains(app, ".") {
		return id
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%s\x00%d", project, app, replica)) // no name has a zero byte
	return fmt.Sprintf("%s-%x", id[:min(len(id), most-17)], sum[:8])
}

func (i *instance) terms(o outcome) Terms {
	return Terms{
		Scheduled: i.spec.Schedule != nil, Overlap: overlap(&i.spec), AtOnce: i.spec.Schedule != nil && i.spec.Schedule.OnStart && !i.goesOn,
		Policy: i.spec.Restart.Policy, Loss: i.spec.OnLeaderLoss, Remains: i.spec.RemainAfterExit, OK: o.ok, Exhausted: o.exhausted, Before: o.before,
	}
}

// leader is the pid of the first process while that lives; else 0.
func (i *instance) leader() int {
	if i.leaderEnded {
		return 0
	}
	return i.pid
}

// outcome is how a run, or a start, ended.
type outcome struct{ ok, exhausted, before bool }

// fact is what others may depend on.
func (i *instance) fact() fact {
	f := i.facts
	f.name, f.state, f.ready = i.name(), i.m.State, i.ready
	return f
}

// runs says whether it runs, or is to run by itself.
func (i *instance) runs() bool {
	switch i.m.State {
	case client.Stopped, client.Completed, client.Failed:
		return false
	}
	return true
}

// setClock has the loop do something at a time.
func (s *Supervisor) setClock(i *instance, due time.Time, f func()) {
	i.stopClock()
	i.due = due
	tick := i.ticks
	i.clock = time.AfterFunc(time.Until(due), func() {
		s.post(func() {
			if tick == i.ticks {
				i.stopClock()
				f()
			}
		})
	})
}

// stopClock ends the wait of a backoff.
func (i *instance) stopClock() {
	if i.clock != nil {
		i.clock.Stop()
	}
	i.ticks++
	i.clock, i.due = nil, time.Time{}
}
