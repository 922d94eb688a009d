// Package config reads what foster up is to run: foster.yaml, or a Procfile.
//
// What [Load] returns is checked and complete: files are merged, extends and variables
// are resolved, every default is filled in, each reference has its target. Errors say
// file, line and column.
package config

import (
	"syscall"
	"time"

	"github.com/foster-init/foster"
)

// Project is what one supervisor runs.
type Project struct {
	Name  string   // name; by default that of the folder
	Dir   string   // absolute; of the first file: relative paths are relative to it
	Files []string // absolute; in the order in which they were merged
	Given []string // of them, those that weren't read because another includes them

	// Grace is how long the applications outlive a supervisor that is gone, in which
	// the next one takes them over.
	Grace   time.Duration
	Group   string // of users who may control the supervisor; "": only its own
	Logs    Logs   // the defaults of the applications
	History History
	Metrics string // address of an HTTP listener for Prometheus; "": only on the socket

	Apps []App // in the order in which they are written
}

// History is how much of the past is kept.
type History struct {
	Runs int           // of each instance
	Age  time.Duration // 0: for ever
}

// App is one application: what to run, and the policy for it.
type App struct {
	Name        string
	Description string
	Command     []string // what is executed; a shell is part of it where one was asked for
	Dir         string   // absolute
	Env         []string // the whole environment: "key=value"
	Inherited   int      // how many of them, the first, are the supervisor's own
	User, Group string   // names or numbers; "": the supervisor's
	Groups      []string // supplementary ones, beside those that the user is in
	Umask       *int
	Rlimits     []foster.Rlimit
	Limits      Limits

	Containment  foster.Containment
	Until        foster.Until
	OnLeaderLoss LossPolicy
	Lease        foster.Lease
	Watchdog     time.Duration
	Notify       bool // it is ready when it says so by sd_notify(3)
	Forking      bool // it is ready when its leader has exited with 0, and its daemon lives on
	StartTimeout time.Duration

	Stdin       Stdin       // "": empty
	EndsProject EndsProject // "": never

	// RemainAfterExit has it count as active until it is stopped, when it has completed:
	// its stop command runs then.
	RemainAfterExit bool

	Terminal bool // it has a terminal, for foster attach

	Port      int  // PORT of the first replica, and one more of each further one; 0: not set
	Autostart bool // with foster up; else only by foster start
	Replicas  int
	Stop      Stop
	Restart   Restart
	DependsOn []Dependency
	Readiness *Probe
	Liveness  *Probe
	Schedule  *Schedule
	Watch     *Watch
	Hooks     Hooks
	Logs      Logs
	Sockets   []Socket
}

// LossPolicy is what to do when the leader has ended while others of its tree live.
type LossPolicy string

// The policies. LossRestart stops the rest and starts anew.
const (
	LossContinue LossPolicy = "continue"
	LossStop     LossPolicy = "stop"
	LossRestart  LossPolicy = "restart"
	LossFail     LossPolicy = "fail"
)

// Stdin is what an application without a terminal has as its standard input.
type Stdin string

// The inputs.
const (
	StdinEmpty Stdin = "empty" // /dev/null: it ends at once
	StdinOpen  Stdin = "open"  // nothing comes, and it never ends
)

// EndsProject says which end of an application, that no restart follows, ends the project.
type EndsProject string

// The ends.
const (
	EndsNever     EndsProject = "no"
	EndsOnExit    EndsProject = "on_exit"
	EndsOnFailure EndsProject = "on_failure"
)

// Limits are those of the tree's cgroup; 0 is none.
type Limits struct {
	Memory   int64   // bytes
	CPU      float64 // in cores
	PIDs     int64
	Optional bool // go on, with a warning, where the controllers can't be had
}

// Stop is how the application is stopped.
type Stop struct {
	Signal  syscall.Signal
	Scope   foster.Scope
	Timeout time.Duration
	Command []string // run before the signal; its end is waited for, within the timeout
}

// RestartPolicy says which ends are followed by a new start.
type RestartPolicy string

// The policies. Always and UnlessStopped differ after the supervisor has been
// restarted: an application that was stopped by hand stays stopped with the latter.
const (
	RestartNo            RestartPolicy = "no"
	RestartOnFailure     RestartPolicy = "on_failure"
	RestartAlways        RestartPolicy = "always"
	RestartUnlessStopped RestartPolicy = "unless_stopped"
)

// Restart is when an application is started again, and how long after its end.
type Restart struct {
	Policy       RestartPolicy
	Backoff      Backoff
	MaxRestarts  int           // within Window; then it has failed. 0: without a bound
	Window       time.Duration // 0: since it was started by hand
	SuccessCodes []int         // exit codes that aren't a failure; 0 is always among them
}

// Backoff is the pause before a restart: Initial, and Factor times more after each
// failure, at most Max, changed at random by up to Jitter of it. It begins anew after
// a run that lasted longer than Max.
type Backoff struct {
	Initial time.Duration
	Factor  float64
	Max     time.Duration
	Jitter  float64 // 0 to 1
}

// Condition is what a dependency has to be before who depends on it is started.
type Condition string

// The conditions, by the names that process-compose uses.
const (
	Started               Condition = "process_started"
	Healthy               Condition = "process_healthy" // ready, by its readiness probe or sd_notify(3)
	Completed             Condition = "process_completed"
	CompletedSuccessfully Condition = "process_completed_successfully"
	LogReady              Condition = "process_log_ready" // its readiness probe is a log line, and was seen
)

// Dependency is one application that another waits for.
type Dependency struct {
	App       string
	Condition Condition
	Restart   bool // restart when it is restarted
}

// Probe asks whether an application works. One of Exec, HTTP, TCP, Notify and Log is set.
type Probe struct {
	Exec   []string
	HTTP   *HTTPProbe
	TCP    *TCPProbe
	Notify bool
	Log    string // regular expression for a line of output

	InitialDelay     time.Duration
	StartPeriod      time.Duration // in which failures don't count, until the first success
	Period           time.Duration
	Timeout          time.Duration
	SuccessThreshold int
	FailureThreshold int
}

// HTTPProbe is a GET that has to be answered with Status, or 200 to 399.
type HTTPProbe struct {
	Scheme, Host string
	Port         int // 0: that of the replica, see App.Port
	Path         string
	Headers      map[string]string
	Status       int
}

// TCPProbe is a connection that has to be accepted.
type TCPProbe struct {
	Host string
	Port int // 0: that of the replica
}

// Overlap is what happens when a scheduled application is due while it still runs.
type Overlap string

// The overlap policies.
const (
	OverlapSkip    Overlap = "skip"
	OverlapQueue   Overlap = "queue"   // one run follows at once
	OverlapReplace Overlap = "replace" // the run under way is stopped
)

// Schedule starts an application at set times.
type Schedule struct {
	Cron    string // five fields, or six with seconds first, or @daily and the like
	Zone    string // of the time zone database; "": local
	Overlap Overlap
	OnStart bool // also run with foster up
}

// Watch restarts an application when files change.
type Watch struct {
	Paths    []string // globs, with **; absolute
	Ignore   []string
	Debounce time.Duration
	Signal   syscall.Signal // sent to the leader instead of a restart; 0: restart
}

// Hooks are commands around a run; each has HookTimeout, and is a tree of its own. One
// that fails before the start is a failed start; the others are told and passed over.
type Hooks struct {
	PreStart, PostStart, PreStop, PostStop []string
	Timeout                                time.Duration
}

// Logs is what is kept of an application's output.
type Logs struct {
	Disabled bool   // its output goes to /dev/null
	Format   string // "plain" or "json"
	MaxSize  int64  // bytes of one file
	MaxAge   time.Duration
	MaxFiles int  // besides the current one
	Compress bool // gzip what was rotated
	OnFull   string
}

// Socket is a listening socket that the supervisor opens and hands over as LISTEN_FDS.
type Socket struct {
	Name    string
	Address string // host:port, unix:/path, udp:host:port
	Mode    int    // of a unix socket's file; 0: as the umask says
}
