//go:build linux && (amd64 || arm64)

// Package stub has the form of a shim that is parked: a program of a few KiB, written in C
// (c/stub.c), which starts a leader, reaps its tree, and executes the whole shim in its own
// place when there is more to do. To start it costs a fraction of the start of a Go program,
// and it holds a tree with some 10 KiB of memory.
//
// The programs are built by build.sh from c/ and kept beside it, so that nobody needs a C
// compiler to build foster. A test builds them again and compares.
package stub

import (
	"encoding/hex"
	"fmt"
	"os"
	"sync"
	"unsafe"

	"github.com/foster-init/foster/internal/sys"
)

// Version is that of Config and State, which both sides must have.
const Version = 1

// How much of each a Config has room for.
const (
	MaxLimits = 16
	MaxGroups = 256
	MaxWrites = 8
	MaxPolled = 4
	MaxTerms  = 16 << 10
)

// NoMask is the Umask that leaves it as it is.
const NoMask = 1<<32 - 1

// Limit is a resource limit, by prlimit(2).
type Limit struct {
	Resource   uint32
	_          uint32
	Soft, Hard uint64
}

// Config is what to start, and how: struct config in c/stub.h, where its fields are explained.
type Config struct {
	Version, Flags             uint32
	Files, Passed, Socket, Exe int32
	Polled                     [MaxPolled]int32
	TTY, Cgroup                int32
	Writes                     [MaxWrites]int32
	Umask, UID, GID            uint32
	Groups                     int32
	Group                      [MaxGroups]uint32
	Limits, ListenPID          int32
	Limit                      [MaxLimits]Limit
	Caps, Alarm                uint64
	Clock, Terms               uint32
	FailAt, FailWith           int32
}

// Flags of a Config.
const (
	Subreaper = 1 << iota
	Setsid
	Setpgid
	Ctty
	Noctty
	Foreground
	User
	DieWith
	Anchor
	KeepEnd
	Init
	Chroot
	Chdir
	Parked
)

// NewConfig is one in which nothing is wanted.
func NewConfig() *Config {
	c := &Config{Version: Version, TTY: -1, Cgroup: -1, Umask: NoMask, Groups: -1, ListenPID: -1}
	for i := range c.Polled {
		c.Polled[i] = -1
	}
	for i := range c.Writes {
		c.Writes[i] = -1
	}
	return c
}

// Bytes is the config as a stub reads it, with the terms behind it.
func (c *Config) Bytes(terms []byte) []byte {
	c.Terms = uint32(len(terms))
	return append(unsafe.Slice((*byte)(unsafe.Pointer(c)), unsafe.Sizeof(*c)), terms...)
}

// State is what a stub tells: struct state in c/stub.h.
type State struct {
	Kind, Flags                         uint32
	Leader                              int32
	Status                              uint32
	Stage, Error                        int32
	Reaped, Adopted                     uint64
	User, System, RSS                   uint64
	LeaderUser, LeaderSystem, LeaderRSS uint64
	At, Began                           uint64
	Orphan                              int32
	OrphanStatus                        uint32
	Name                                [16]byte
}

// Kinds of a State.
const (
	KindState  = 1
	KindOrphan = 2
	KindFailed = 3
)

// Flags of a State.
const (
	Paused = 1 << iota
	Ended
	Empty
)

// Stages at which a start fails. Above the lowest byte stands which limit it was, or which
// write, from 1 on.
const (
	AtMount = iota + 1
	AtFork
	AtSession
	AtTerminal
	AtCgroup
	AtLimit
	AtRoot
	AtUser
	AtCaps
	AtDir
	AtExec
)

// Without is the state without some of its flags.
func (s State) Without(flags uint32) State {
	s.Kind, s.Flags = KindState, s.Flags&^flags
	return s
}

// Bytes is the state as a stub tells it.
func (s State) Bytes() []byte {
	return append([]byte(nil), unsafe.Slice((*byte)(unsafe.Pointer(&s)), unsafe.Sizeof(s))...)
}

// ParseState reads what a stub has told.
func ParseState(b []byte) (s State, err error) {
	if len(b) != int(unsafe.Sizeof(s)) {
		return s, fmt.Errorf("a state of %d bytes, want %d", len(b), unsafe.Sizeof(s))
	}
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&s)), unsafe.Sizeof(s)), b)
	return s, nil
}

// ParseHex reads the state that a stub passes on when it wakes.
func ParseHex(text string) (s State, err error) {
	b, err := hex.DecodeString(text)
	if err != nil {
		return s, err
	}
	return ParseState(b)
}

// Path is where the stub can be executed: a file in memory, which this process keeps open. It
// is named by this process's number, not by /proc/self: in a child, before it executes, the
// descriptor may be another file's.
func Path() (string, error) {
	f, err := file()
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()), nil
}

var file = sync.OnceValues(func() (*os.File, error) { return sys.MemoryProgram("foster-shim", program) })
