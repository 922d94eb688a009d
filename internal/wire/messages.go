package wire

import (
	"syscall"
	"time"
)

// kind names a message on the wire. From the owner's side to the shim they
// count from 1, back from 65; those that are kept in a file, from 129.
type kind uint8

const (
	kindFiles   kind = 1
	kindStart   kind = 2
	kindSignal  kind = 3
	kindStop    kind = 4
	kindRelease kind = 5
	kindExtend  kind = 6
	kindInspect kind = 7
	kindClaim   kind = 8
	kindOutput  kind = 9
	kindWatch   kind = 10
	kindDrop    kind = 11
	kindOpen    kind = 12
	kindConfirm kind = 13

	kindHello    kind = 65
	kindStarted  kind = 66
	kindFailed   kind = 67
	kindPaused   kind = 68
	kindLeader   kind = 69
	kindSignaled kind = 70
	kindEnded    kind = 71
	kindReplied  kind = 72
	kindStatus   kind = 73
	kindLease    kind = 74
	kindNotified kind = 75
	kindOwner    kind = 76
	kindStopping kind = 77
	kindLetGo    kind = 78

	kindParked kind = 40 // as in internal/stub/c/stub.h

	kindEntry kind = 129
	kindLife  kind = 130
)

// kinds makes an empty message of each kind.
var kinds = map[kind]func() Message{
	kindFiles:    func() Message { return new(Files) },
	kindStart:    func() Message { return new(Start) },
	kindSignal:   func() Message { return new(Signal) },
	kindStop:     func() Message { return new(Stop) },
	kindRelease:  func() Message { return new(Release) },
	kindHello:    func() Message { return new(Hello) },
	kindStarted:  func() Message { return new(Started) },
	kindFailed:   func() Message { return new(Failed) },
	kindPaused:   func() Message { return new(Paused) },
	kindLeader:   func() Message { return new(LeaderEnded) },
	kindSignaled: func() Message { return new(Signaled) },
	kindEnded:    func() Message { return new(Ended) },
	kindReplied:  func() Message { return new(Replied) },
	kindLetGo:    func() Message { return new(LetGo) },

	kindExtend:   func() Message { return new(Extend) },
	kindInspect:  func() Message { return new(Inspect) },
	kindClaim:    func() Message { return new(Claim) },
	kindOutput:   func() Message { return new(Output) },
	kindWatch:    func() Message { return new(Watch) },
	kindDrop:     func() Message { return new(Drop) },
	kindOpen:     func() Message { return new(Open) },
	kindConfirm:  func() Message { return new(Confirm) },
	kindStatus:   func() Message { return new(Status) },
	kindLease:    func() Message { return new(LeaseNews) },
	kindNotified: func() Message { return new(Notified) },
	kindOwner:    func() Message { return new(OwnerNews) },
	kindStopping: func() Message { return new(Stopping) },
	kindParked:   func() Message { return new(Parked) },
	kindEntry:    func() Message { return new(Entry) },
	kindLife:     func() Message { return new(Life) },
}

func (k kind) message() Message {
	if f := kinds[k]; f != nil {
		return f()
	}
	return nil
}

// Containment is how a tree is held together, from weakest to strongest.
type Containment uint8

const (
	Group     Containment = 1
	Subreaper Containment = 2
	Cgroup    Containment = 3
	PIDNS     Containment = 4
)

func (c Containment) String() string {
	switch c {
	case Group:
		return "group"
	case Subreaper:
		return "subreaper"
	case Cgroup:
		return "cgroup"
	case PIDNS:
		return "pidns"
	}
	return "unknown"
}

// Scope says whom a signal is for.
type Scope uint8

const (
	ScopeTree        Scope = 1 // every member
	ScopeGroup       Scope = 2 // the leader's process group
	ScopeLeader      Scope = 3 // the leader
	ScopeLeaderFirst Scope = 4 // in a stop: the leader, and the rest once it has ended
)

// Files only carries descriptors, which a Start that follows claims.
type Files struct{}

// Start asks for a leader. Its descriptors were passed before, in this order: the
// working directory, the cgroup where Containment asks for one, the terminal where
// Foreground does, the socket to listen on where Listen does, the journal's entry
// where Journal does, the pidfd of the owner where OwnerNamed does, the reading ends
// of the Outputs, the descriptors that are Kept, then descriptors 0, 1, 2 and up of
// the program.
type Start struct {
	Path        string
	Args, Env   []string
	Dir         string // relative to the working directory passed; empty: that one
	Files       int    // how many descriptors were passed for the program
	Closed      []int  // the numbers between them that the program finds closed
	Containment Containment
	CgroupPath  string
	Session     bool // lead a session of its own, not only a group
	Foreground  bool // make its group the foreground group of the terminal
	SetUmask    bool
	Umask       int
	Credential  Credential
	Rlimits     []Rlimit
	OwnerGone   Plan // how to stop the tree where nothing else is said
	ID          string
	Listen      bool
	SocketPath  string // of Listen; removed when the shim ends with nobody to serve
	Journal     bool
	JournalPath string        // of Journal
	Keep        bool          // the entry stays when the tree has ended
	Owner       Member        // for whom the tree runs
	OwnerNamed  bool          // it isn't the owner's side, but the process of a pidfd
	Grace       time.Duration // how long the tree outlives its owner
	Outputs     []uint8       // the program's descriptors whose pipes are kept: 1, 2
	AfterLeader string        // the cause of a stop when the leader has ended; empty: go on
	Lease       Lease
	Watchdog    time.Duration // how often the program has to call; 0: never
	Notify      string        // the name of the abstract socket that it calls on
	Read        bool          // the owner's side reads the Outputs
	ListenPID   bool          // LISTEN_PID, the leader's own number, is added to Env
	Kept        []string      // names of descriptors that are only held, for the next owner's side
	Writes      []Write       // what the leader writes to files, the last before it is the program
	Groups      []string      // folders of cgroups that are removed with the tree: see Writes
	Confirm     bool          // what was told of its end is kept for another owner until a Confirm
	Attr        Attr
	Began       time.Duration // when, by the clock of its lease, a stub has started it; it isn't sent
}

// Parked is what a shim tells while it is parked: see package stub.
type Parked struct{ State []byte }

// Attr is what of syscall.SysProcAttr is passed on as it is.
type Attr struct {
	Chroot       string
	AmbientCaps  []uint64
	Cloneflags   uint64 // namespaces
	Unshareflags uint64 // likewise
	UIDMappings  []IDMap
	GIDMappings  []IDMap
	Setgroups    bool // is allowed in the user namespace
	Noctty       bool
	Ctty         int // the program's descriptor that is the terminal of its own session
}

// IDMap is a row of a user namespace's map (user_namespaces(7)).
type IDMap struct{ Inside, Outside, Size int }

// Write is what is written to a file, as by a process that enters a cgroup.
type Write struct{ Path, Text string }

// Lease is how long a tree may run. Zero is for ever.
type Lease struct {
	Time    time.Duration
	Max     time.Duration  // bounds all extensions, from the start; 0: they aren't bounded
	Warn    time.Duration  // how long before its end that is told; 0: not
	Signal  syscall.Signal // sent to the leader then; 0: none
	Suspend bool           // time that the machine is suspended counts
}

// Credential is the user that the program runs as.
type Credential struct {
	Set         bool
	UID, GID    uint32
	Groups      []uint32
	NoSetGroups bool
}

// Rlimit is a resource limit of the program (getrlimit(2)).
type Rlimit struct {
	Resource   int
	Soft, Hard uint64
}

// Plan is how to stop a tree: the steps in turn, each for as long as it says,
// then SIGKILL until the tree is empty. GiveUp is how long after the first
// SIGKILL what is still there is told as survivors.
type Plan struct {
	Steps  []Step
	GiveUp time.Duration
}

// Step is one signal, and how long to wait for its effect.
type Step struct {
	Signal syscall.Signal
	Scope  Scope
	Wait   time.Duration
}

// Signal asks for a signal to be sent; a Replied with its ID answers.
type Signal struct {
	ID     uint64
	Signal syscall.Signal
	Scope  Scope
}

// Stop asks for the tree to be stopped; where that is under way already, the new
// plan takes the place of the old, unless SIGKILL was sent.
type Stop struct {
	Plan    Plan
	Default bool   // by the plan that came with the Start
	Cause   string // told in Stopping
	ID      uint64 // a Replied with it answers; 0: none
}

// Extend asks for the lease to end no sooner than this time from now; a Replied with
// its ID answers.
type Extend struct {
	ID  uint64
	For time.Duration
}

// Inspect asks for a Status.
type Inspect struct{ ID uint64 }

// Claim asks to become the owner of a tree that has none. With Named, a pidfd was
// passed, of the process that is to be the owner; else the connection is the owner's
// side from then on. With Output, it is the reader of the outputs that are kept, too,
// or gets neither; with Kept, the descriptors come along that the Start has left to be
// held. A Replied answers.
type Claim struct {
	ID     uint64
	Owner  Member
	Named  bool
	Output bool
	Kept   bool
	// Confirm says that this owner will send a Confirm, too.
	Confirm bool
}

// Confirm says that the owner's side has taken in the end of its tree, and what was left
// of its output: nobody needs it any more.
type Confirm struct{}

// Output asks for the reading ends of the outputs that are kept. The descriptors come
// with the Replied, as many as its Count, those of the streams that Status tells.
type Output struct{ ID uint64 }

// Watch asks for the news of the tree on this connection, from its beginning as far as
// they are kept; a Replied answers before them.
type Watch struct{ ID uint64 }

// Drop asks to close the reading end of an output that is kept, so that its writer
// learns that nobody reads.
type Drop struct{ Stream uint8 }

// Open asks a shim of many trees to hold another. A socket was passed, on which the
// owner's side of that tree speaks as to a shim of its own, but for the Hello: it has been said.
type Open struct{}

// Release asks the shim to let go of the tree; a Replied with its ID answers,
// and on success an Ended follows.
type Release struct {
	ID    uint64
	Guest bool // who asks isn't the owner's side
	PID   int  // let go of this process and of those below it alone; 0: of the tree. A LetGo follows.
}
