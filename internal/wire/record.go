package wire

import "time"

// What the journal keeps of a tree, in the form of messages.

// Entry is what the journal knows of a tree before it is started.
type Entry struct {
	Version     int
	ID          string
	At          time.Time
	Boot        string // the boot of the machine: what is of an earlier one is gone
	PIDNS       uint64 // the PID namespace whose numbers these are
	UID         int
	Containment Containment
	CgroupPath  string
	CgroupInode uint64
	Shim        Member
	Owner       Member
	Command     []string
	SocketPath  string
	Stop        Plan
	Keep        bool     // it is for others to read when the tree has ended
	ShimSelf    bool     // the shim's numbers are those of a PID namespace of its own
	Many        bool     // the shim holds other trees as well
	Groups      []string // folders of cgroups for its limits, which are removed with it
	Clock       string   // by how many nanoseconds its time namespace is ahead, as to CLOCK_BOOTTIME
	Machine     string   // machine-id(5)
	Namespace   string   // the file whose lock process 1 of the PID namespace holds; "": none
}

// SharedCgroup is the cgroup by which a tree is told from others of its shim; "" where
// it has a shim of its own.
func (e *Entry) SharedCgroup() string {
	if e.Many {
		return e.CgroupPath
	}
	return ""
}

// Life is what the journal knows of a tree that was started. It's written anew
// whenever more is known.
type Life struct {
	Leader     Member
	Members    []Member // who was seen in the tree, the leader included
	LeaderDone bool
	LeaderEnd  LeaderEnded
	Done       bool
	End        Ended
	Cause      string // of a stop
	Shim       Member // where it wasn't known yet when the entry was made
}
