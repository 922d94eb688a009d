// Package journal keeps what has to be known of a tree when both its sides are gone:
// one file a tree in the state folder, named ID.tree, which only its user can read.
//
// Who starts a tree makes the file, takes the lock on it and passes the open file on
// to the shim. So the lock is free exactly when both are gone, however they went: it
// tells a living tree from a lost one, and no number of a process is asked for that.
//
// What a file says is obeyed only where the file is whole and belongs to this user,
// this boot and this PID namespace; [Scan] reports the others, and leaves them. Also
// then it's no licence to signal: package contain proves each process first.
//
// Nothing is forced to the disk. What a file says means something only within the
// boot of the machine in which it was written, and as long as that lasts, the kernel
// has all that was written, whoever was killed. A crash of the machine may leave a
// torn file; its processes are gone with the machine.
package journal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Errors that callers tell apart.
var (
	// ErrTaken says that the tree is held: it lives, or another recovers it.
	ErrTaken = errors.New("the tree is held by another")
	// ErrLost says that a tree of that name was left by both its sides, and wasn't
	// recovered yet.
	ErrLost = errors.New("a lost tree has that name: recover it first")
	// ErrUnknown says that the journal has no such tree.
	ErrUnknown = errors.New("the journal has no such tree")
	// ErrTorn says that a file isn't whole.
	ErrTorn = errors.New("torn")
	// ErrAlien says that a file isn't one of the journal's.
	ErrAlien = errors.New("not an entry of foster's journal")
	// ErrForeign says that an entry is another's: of another user, PID namespace
	// or machine.
	ErrForeign = errors.New("another's entry")
	// ErrNewer says that a newer foster wrote a file.
	ErrNewer = errors.New("written by a newer foster")
	// ErrTooLarge says that an entry doesn't fit.
	ErrTooLarge = errors.New("too large for the journal")
)

const (
	treeSuffix   = ".tree"
	socketSuffix = ".sock"
	newPrefix    = ".new-" // files that have no name yet
)

// ValidID says what is wrong with the name of a tree. It becomes the name of files
// and of a cgroup.
func ValidID(id string) error {
	const most = 63
	letter := func(c byte) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
	}
	why := ""
	switch {
	case id == "":
		why = "it is empty"
	case len(id) > most:
		why = fmt.Sprintf("it has %d characters, at most %d are possible", len(id), most)
	case !letter(id[0]):
		why = "it must begin with a letter or a digit"
	case strings.Contains(id, ".."):
		why = `it holds ".."`
	default:
		for i := range len(id) {
			if c := id[i]; !letter(c) && c != '_' && c != '.' && c != '-' {
				why = "only letters, digits, '_', '.' and '-' are possible"
			}
		}
	}
	if why == "" {
		return nil
	}
	if len(id) > most {
		id = id[:most] + "…"
	}
	return fmt.Errorf("the name %q can't be a tree's: %s", id, why)
}

// SocketPath is where the shim of a tree listens.
func SocketPath(runtime, id string) string { return filepath.Join(runtime, id+socketSuffix) }

func treePath(folder, id string) string { return filepath.Join(folder, id+treeSuffix) }

// State is how a tree stands.
type State uint8

const (
	Living State = 1 // its lock is held: by a side that lives, or by who recovers it
	Ended  State = 2 // its end was written
	Lost   State = 3 // both sides are gone, and its end wasn't written
	Gone   State = 4 // it is of an earlier boot: nothing of it can live
)

func (s State) String() string {
	switch s {
	case Living:
		return "living"
	case Ended:
		return "ended"
	case Lost:
		return "lost"
	case Gone:
		return "gone"
	}
	return "unknown"
}
