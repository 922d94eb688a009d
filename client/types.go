// Package client talks to a running foster up.
//
// [Dial] finds the supervisor of a project by its control socket. What it answers is
// plain HTTP with JSON, described in openapi.yaml beside this file, so that curl can
// ask, too:
//
//	curl --unix-socket "$(foster status --socket)" http://foster/v1/status
package client

import "time"

// State is that of one instance of an application.
type State string

// The states. Each but the first two and the last four has a living tree.
const (
	Stopped    State = "stopped"     // not started, or stopped by hand
	Waiting    State = "waiting"     // for its dependencies
	Starting   State = "starting"    // its hook, or its start, is under way
	Running    State = "running"     // the tree isn't empty
	LeaderLost State = "leader-lost" // the start script is gone, the application is alive
	Stopping   State = "stopping"    // a stop is under way
	Stuck      State = "stuck"       // a stop has left processes that can't be ended; it goes on trying
	Backoff    State = "backoff"     // ended, and will be started again
	Scheduled  State = "scheduled"   // waits for its time
	Completed  State = "completed"   // ended well, and isn't started again
	Failed     State = "failed"      // ended badly, and isn't started again
)

// Status is all that a supervisor knows of now.
type Status struct {
	Project string    `json:"project"`
	Version string    `json:"version"`
	PID     int       `json:"pid"`
	Daemon  bool      `json:"daemon"` // in the background, by foster up -d
	Seq     uint64    `json:"seq"`    // of the last event that is in here
	Started time.Time `json:"started"`
	Dir     string    `json:"dir"`
	Files   []string  `json:"files"`
	Given   []string  `json:"given,omitempty"` // of these, those that no other includes
	// Problems is what keeps the supervisor from working as it should: a full disk, a
	// history that can't be written.
	Problems []string `json:"problems,omitempty"`
	Apps     []App    `json:"apps"`
}

// App is an application.
type App struct {
	Name        string     `json:"name"`
	Description string     `json:"description,omitempty"`
	Replicas    int        `json:"replicas"`
	Schedule    string     `json:"schedule,omitempty"`
	Next        *time.Time `json:"next,omitempty"` // when it is due
	Instances   []Instance `json:"instances"`
}

// Instance is one of an application's replicas.
type Instance struct {
	App      string    `json:"app"`
	Replica  int       `json:"replica"` // from 1
	Tree     string    `json:"tree"`    // its name for foster ls and foster inspect
	State    State     `json:"state"`
	Since    time.Time `json:"since"`
	Cause    string    `json:"cause"`  // of the state, in words
	Ready    bool      `json:"ready"`  // running, and its readiness probe says so
	Health   string    `json:"health"` // what its last failed probe said
	PID      int       `json:"pid,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Restarts int       `json:"restarts"`
	Due      time.Time `json:"due,omitzero"`   // when the backoff ends, or the schedule is due
	Text     string    `json:"text,omitempty"` // STATUS= of sd_notify(3)

	Containment string `json:"containment,omitempty"`
	// LeaseLeft is how long the lease runs; nil: there is none.
	LeaseLeft *time.Duration `json:"lease_left,omitempty"`
	Members   int            `json:"members"`
	CPU       time.Duration  `json:"cpu"`    // of the members, also of those that were seen and have ended: it never falls
	Memory    int64          `json:"memory"` // bytes resident, of all members
	Survivors []string       `json:"survivors,omitempty"`
	Exit      *Exit          `json:"exit,omitempty"` // of the last run
	// Active says that it has completed, and counts as active until it is stopped.
	Active bool `json:"active,omitempty"`
	// ShimStopped is the PID of the process that holds its tree, or is to start it, where that
	// is itself stopped, by SIGSTOP or a debugger: until it is resumed nothing of it is started
	// or stopped, nor its end seen. 0: it isn't.
	ShimStopped int `json:"shim_stopped,omitempty"`
	// LostLines is what its log hasn't of its output, where something was lost since the
	// supervisor began: the last that was.
	LostLines *LostLines `json:"lost_lines,omitempty"`
	// NotStarted is why it couldn't be started when it was to run last; "": it was.
	NotStarted string `json:"not_started,omitempty"`
	// BlockedBy is the application that it depends on and which is why.
	BlockedBy string `json:"blocked_by,omitempty"`
}

// LostLines says why lines of output aren't in a log.
type LostLines struct {
	Time time.Time `json:"time"`
	Text string    `json:"text"`
}

// Exit is how a run ended. Code and Signal are nil where nobody could observe it.
type Exit struct {
	Cause  string `json:"cause"`
	Code   *int   `json:"code,omitempty"`
	Signal string `json:"signal,omitempty"`
	Core   bool   `json:"core,omitempty"`
	// StartStatus is the exit status of a start that failed, as foster run has it: 127 where the
	// program wasn't found, 126 where it can't be executed, else 125; 0: it was started.
	StartStatus int       `json:"start_status,omitempty"`
	Started     time.Time `json:"started"`
	Ended       time.Time `json:"ended,omitzero"` // zero: nobody saw it
	// Counted says that User to Reaped were counted. Where nobody has, since the shim was
	// killed, say, they are zero here, and left out in JSON.
	Counted bool          `json:"counted,omitempty"`
	User    time.Duration `json:"user,omitempty"`
	System  time.Duration `json:"system,omitempty"`
	MaxRSS  int64         `json:"max_rss,omitempty"` // bytes
	Adopted int           `json:"adopted,omitempty"`
	Reaped  int           `json:"reaped,omitempty"`
	Killed  int           `json:"killed,omitempty"` // also where the rest wasn't counted, as far as is known
	// OOMKills is how many the kernel killed at the limit of memory.
	OOMKills int `json:"oom_kills,omitempty"`
}

// Run is one run of an instance, from the history.
type Run struct {
	ID      uint64    `json:"id"`
	App     string    `json:"app"`
	Replica int       `json:"replica"`
	Started time.Time `json:"started"`
	PID     int       `json:"pid"`
	By      string    `json:"by"` // what started it
	Exit    *Exit     `json:"exit,omitempty"`
}

// Event is a change of an instance's state, or what else a person wants to know of it.
type Event struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	App     string    `json:"app,omitempty"` // "": of the supervisor
	Replica int       `json:"replica,omitempty"`
	Kind    string    `json:"kind"` // "state", "ready", "probe", "hook", "problem", ...
	From    State     `json:"from,omitempty"`
	To      State     `json:"to,omitempty"`
	Cause   string    `json:"cause"`
	Due     time.Time `json:"due,omitzero"` // when it is started again, after To: Backoff
}

// Line is one line of output.
type Line struct {
	Time    time.Time `json:"time"`
	App     string    `json:"app"`
	Replica int       `json:"replica"`
	Stream  string    `json:"stream"`        // "stdout" or "stderr"
	Text    string    `json:"text"`          // may hold any byte, but for the end of the line
	Raw     []byte    `json:"raw,omitempty"` // instead of Text where it isn't UTF-8
	// Unfinished says that the line has no end yet: it comes once more when it has.
	Unfinished bool `json:"unfinished,omitempty"`
}

// Change is one step of an update.
type Change struct {
	App    string   `json:"app"`    // "": the project itself
	Action string   `json:"action"` // "start", "stop", "restart", "scale", "change" (without a restart), "take-over" (from a supervisor that was killed)
	Keys   []string `json:"keys,omitempty"`
	From   int      `json:"from,omitempty"` // of a scale
	To     int      `json:"to,omitempty"`
}

// Target names instances: an application, one of its replicas, or all of the project. The
// zero value names nothing, and is an error.
type Target struct {
	App     string `json:"app,omitempty"`
	Replica int    `json:"replica,omitempty"` // 0: all of the application
	All     bool   `json:"all,omitempty"`     // all of the project; App and Replica are empty
}

// LogQuery chooses lines of output.
type LogQuery struct {
	Targets []Target  `json:"targets,omitempty"` // none: of all applications
	Stream  string    `json:"stream,omitempty"`  // "stdout" or "stderr"; "": both
	Newest  int       `json:"newest,omitempty"`  // how many of the end; 0: all, negative: none
	Since   time.Time `json:"since,omitzero"`
	Until   time.Time `json:"until,omitzero"`
	Follow  bool      `json:"follow,omitempty"`
	// Unfinished asks also for lines that have begun and not ended, as a prompt, when nothing
	// more of them has come for a moment.
	Unfinished bool `json:"unfinished,omitempty"`
}

// Environment is what an application's command runs with.
type Environment struct {
	Dir   string   `json:"dir"`
	Env   []string `json:"env"`
	User  string   `json:"user,omitempty"`
	Group string   `json:"group,omitempty"`
	// Groups are supplementary groups, beside those that the user is in.
	Groups []string `json:"supplementary_groups,omitempty"`
}
