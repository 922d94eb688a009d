package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/foster-init/foster/proc"
)

// otherPort is a port in another network namespace than this command's, in JSON.
type otherPort struct {
	Network   string `json:"network"`
	Address   string `json:"address"`
	Namespace uint64 `json:"netns"`
}

// portNames writes ports as tcp *:8080, those of other network namespaces apart.
func portNames(list []proc.Port) (here []string, elsewhere []otherPort) {
	for _, p := range list {
		if p.Elsewhere {
			other := otherPort{p.Network, addressText(p), p.Namespace}
			if !slices.Contains(elsewhere, other) {
				elsewhere = append(elsewhere, other)
			}
		} else if name := portName(p); !slices.Contains(here, name) {
			here = append(here, name)
		}
	}
	return here, elsewhere
}

func portName(p proc.Port) string { return p.Network + " " + addressText(p) }

func addressText(p proc.Port) string {
	if p.Address.Addr().IsUnspecified() {
		return fmt.Sprintf("*:%d", p.Address.Port())
	}
	return p.Address.String()
}

// portTexts are the ports in one list, those of other namespaces marked.
func portTexts(here []string, elsewhere []otherPort) []string {
	list := slices.Clone(here)
	for _, o := range elsewhere {
		list = append(list, fmt.Sprintf("%s %s (netns %d)", o.Network, o.Address, o.Namespace))
	}
	return list
}

// portHolder is who has a port that was asked for; the keys of its JSON are kept.
type portHolder struct {
	PID     int          `json:"pid"`
	Name    string       `json:"name"`
	Command string       `json:"command"`
	User    string       `json:"user"`
	Sockets []heldSocket `json:"sockets"`

	process *proc.Process
}

// heldSocket is one of its sockets.
type heldSocket struct {
	Network   string `json:"network"`
	Address   string `json:"address"`
	Use       string `json:"use"`
	Namespace uint64 `json:"netns,omitempty"` // where that is another than this command's

	use  proc.Use
	name string
}

func (s heldSocket) elsewhere() bool { return s.Namespace > 0 }

// words say what it does with the port.
func (s heldSocket) words() string {
	text := "listens at " + s.name
	switch s.use {
	case proc.Bound:
		text = "is bound to " + s.name + " and doesn't listen"
	case proc.Connected:
		text = "has a connection from " + s.name + " and doesn't listen"
	}
	if s.elsewhere() {
		text += fmt.Sprintf(" in another network namespace (netns %d)", s.Namespace)
	}
	return text
}

// elsewhere says that none of the holder's sockets is of this command's network namespace.
func (p portHolder) elsewhere() bool { return p.Sockets[0].elsewhere() }

// words say it of all its sockets.
func (p portHolder) words() string {
	var list []string
	for _, s := range p.Sockets {
		list = append(list, s.words())
	}
	return strings.Join(list, ", ")
}

// holders are those who have the port that was asked for: in this command's network
// namespace first, and there those who listen. Of several who have inherited a socket, that
// is the one that the others descend from.
func (h *host) holders() (list []portHolder) {
	at := map[int]int{}
	for _, held := range h.held {
		if !h.counts(held) {
			continue
		}
		s := heldSocket{Network: held.Network, Address: addressText(held.Port), Use: held.Use.String(), use: held.Use, name: portName(held.Port)}
		if held.Elsewhere {
			s.Namespace = held.Namespace
		}
		for _, p := range h.topmost(held.PIDs) {
			i, known := at[p.PID]
			if !known {
				i = len(list)
				at[p.PID] = i
				list = append(list, portHolder{PID: p.PID, Name: p.Name, Command: p.CommandLine(), User: userOf(p), process: p})
			}
			list[i].Sockets = append(list[i].Sockets, s)
		}
	}
	rank := func(p portHolder) int {
		if p.elsewhere() {
			return int(proc.Closed)
		}
		return int(p.Sockets[0].use)
	}
	slices.SortStableFunc(list, func(a, b portHolder) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)),
			cmp.Compare(len(h.table.Ancestors(a.PID)), len(h.table.Ancestors(b.PID))), cmp.Compare(a.PID, b.PID))
	})
	return list
}

// counts says whether a socket is to be told. Who waits for others has a connection for
// each of these at the same port.
func (h *host) counts(held proc.Held) bool {
	return held.Use != proc.Connected || !slices.ContainsFunc(h.held, func(other proc.Held) bool {
		return !other.Elsewhere && other.Use == proc.Listening && other.Network[:3] == held.Network[:3]
	})
}

// topmost are those of the processes that descend from none of the others.
func (h *host) topmost(pids []int) (list []*proc.Process) {
	for _, pid := range pids {
		p := h.table.Get(pid)
		if p != nil && !slices.ContainsFunc(h.table.Ancestors(pid), func(a *proc.Process) bool { return slices.Contains(pids, a.PID) }) {
			list = append(list, p)
		}
	}
	return list
}

// holdersOf reads who has a port. It is an error where nobody has it here.
func (h *host) holdersOf(port uint16) ([]portHolder, error) {
	if err := h.readPorts(port); err != nil {
		return nil, err
	}
	list := h.holders()
	if len(list) == 0 || list[0].elsewhere() {
		return nil, refusalError{h.noHolder(port, list)}
	}
	return list, nil
}

// noHolder says why nobody is told to have a port, and what can be known of it all the same.
func (h *host) noHolder(port uint16, elsewhere []portHolder) error {
	what, hints := fmt.Sprintf("nothing listens on port %d", port), []string(nil)
	if len(h.noPorts) > 0 {
		what = fmt.Sprintf("nothing visible listens on port %d", port)
	}
	if len(elsewhere) > 0 {
		what += " in this network namespace"
		hints = append(hints, fmt.Sprintf("%s %s: foster explain %d", called(elsewhere[0].process), elsewhere[0].words(), elsewhere[0].PID))
	}
	closed, found := 0, false
	for _, held := range h.held { // those that listen come first
		switch {
		case held.Elsewhere || len(held.PIDs) > 0:
		case held.Use == proc.Closed:
			closed++
		case found:
		case held.Inode == 0:
			found = true
			what = fmt.Sprintf("port %d is in use: the kernel itself listens at %s", port, portName(held.Port))
		default:
			found = true
			what = fmt.Sprintf("port %d is in use: a socket of user %s (%s, %s), whose process can't be seen from here",
				port, nameOfUser(held.UID), portName(held.Port), held.Use)
		}
	}
	if n := len(h.noPorts); n > 0 {
		what += fmt.Sprintf(" (%s could not be inspected)", count(n, "process"))
		if os.Geteuid() != 0 { // in a container, root may not look into all either
			hints = append(hints, fmt.Sprintf("as root: foster explain :%d", port))
		}
	}
	if closed > 0 {
		what += fmt.Sprintf("; %s %s it for a minute at most (TIME_WAIT)", count(closed, "closed connection"), plural(closed, "keeps", "keep"))
		hints = append(hints, "a server that sets SO_REUSEADDR can listen there now")
	}
	if h.boundHidden != nil {
		hints = append(hints, "a socket that is only bound would keep the port, too, and this kernel doesn't show it (Linux 6.8 and newer do)")
	}
	if len(hints) == 0 {
		return errors.New(what)
	}
	return hinted{errors.New(what), strings.Join(hints, "; ")}
}
