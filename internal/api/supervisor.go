// Package api serves a supervisor's control socket: HTTP with JSON, as
// client/openapi.yaml describes it, and metrics for Prometheus.
package api

import (
	"context"
	"io"
	"iter"
	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
)

// Supervisor is what the server is in front of. Its methods may be called from any
// goroutine. Targets that name nobody are an error that wraps client.ErrUnknown; no
// target is all.
type Supervisor interface {
	// Status has no PID when the supervisor has ended.
	Status() client.Status

	// Start, StopWith and RestartWith wait until it's done, or ctx is, and then go on
	// without who asked. Start is done when each target runs, waits for its time, or has
	// completed; StopWith when each tree is empty. A *client.FailedError names who failed,
	// and why. What a plan leaves out is as the application's configuration says.
	Start(ctx context.Context, targets []client.Target) error
	StopWith(ctx context.Context, targets []client.Target, plan foster.StopPlan) error
	RestartWith(ctx context.Context, targets []client.Target, plan foster.StopPlan) error

	Signal(targets []client.Target, sig syscall.Signal, scope foster.Scope) error
	Extend(targets []client.Target, by time.Duration) error
	Scale(ctx context.Context, app string, replicas int) error

	// Update reads the configuration again and applies the difference; with dryRun it
	// only says what it would do.
	Update(ctx context.Context, dryRun bool) ([]client.Change, error)
	// Up is Update, and then starts what is named, or, without names, what has autostart
	// and has failed, or was never started.
	Up(ctx context.Context, names []string, dryRun bool) ([]client.Change, error)
	// Down stops all, in the reverse order, and ends the supervisor.
	Down(ctx context.Context) error
	// Leave ends the supervisor and stops nothing: the next one takes over. Another
	// version of foster up asks for it.
	Leave(ctx context.Context) error

	// Events gives those after seq that are kept, and with follow those to come, until
	// ctx is done or the supervisor ends.
	Events(ctx context.Context, after uint64, follow bool) iter.Seq[client.Event]
	History(app string, replica, newest int) ([]client.Run, error)
	Logs(ctx context.Context, query client.LogQuery) iter.Seq2[client.Line, error]

	// Environment is what foster exec runs a command with.
	Environment(app string, replica int) (client.Environment, error)
	// Terminal connects to the terminal of an instance that has one, until either side
	// ends it. Resize tells the size of the window.
	Terminal(app string, replica int) (Terminal, error)

	Counters() Counters
}

// Terminal is one who is attached to the terminal of an instance.
type Terminal interface {
	io.ReadWriteCloser
	Resize(columns, rows uint16) error
}

// Counters is what the metrics have beside the status: totals since the supervisor
// began.
type Counters struct {
	Instances []InstanceCounters
}

// InstanceCounters are the totals of one instance.
type InstanceCounters struct {
	App      string
	Replica  int
	Starts   uint64
	Restarts uint64
	Exits    map[string]uint64 // by cause, see foster.Cause
	Adopted  uint64            // orphans
	Reaped   uint64            // zombies: each process that ended
	Killed   uint64
	LogBytes uint64
	LogLines uint64
	LogLost  uint64                   // lines that were dropped, since they couldn't be written
	Probes   map[string]ProbeCounters // "readiness", "liveness"
}

// ProbeCounters are the totals of a probe.
type ProbeCounters struct {
	Successes, Failures uint64
	Seconds             float64 // of all its checks
	Last                time.Duration
}
