package main

import (
	"time"

	"github.com/foster-init/foster/proc"
)

// psProcess is a process as foster ps and foster tree print it in JSON; its keys are
// kept. What isn't known is missing.
type psProcess struct {
	PID           int          `json:"pid"`
	PPID          *int         `json:"ppid,omitempty"`
	PGID          *int         `json:"pgid,omitempty"`
	Session       *int         `json:"session,omitempty"`
	JobControl    *int         `json:"job_control,omitempty"`
	TTY           string       `json:"tty,omitempty"`
	UID           *int         `json:"uid,omitempty"`
	User          string       `json:"user,omitempty"`
	State         string       `json:"state,omitempty"`
	StateWords    string       `json:"state_words,omitempty"`
	Stat          string       `json:"stat,omitempty"`
	Kernel        bool         `json:"kernel"`
	Zombie        bool         `json:"zombie"`
	Orphan        string       `json:"orphan"`
	OrphanReasons []string     `json:"orphan_reasons,omitempty"`
	Threads       *int         `json:"threads,omitempty"`
	Nice          *int         `json:"nice,omitempty"`
	Started       time.Time    `json:"started,omitzero"`
	Age           *float64     `json:"age_seconds,omitempty"`
	Processor     *float64     `json:"cpu_seconds,omitempty"`
	Resident      *uint64      `json:"resident_bytes,omitempty"`
	Virtual       *uint64      `json:"virtual_bytes,omitempty"`
	WaitsIn       string       `json:"waits_in,omitempty"`
	Name          string       `json:"name"`
	Args          []string     `json:"args,omitempty"`
	Ports         []psPort     `json:"ports,omitzero"`
	OtherPorts    []otherPort  `json:"ports_elsewhere,omitempty"`
	Tree          string       `json:"tree,omitempty"`
	Children      []*psProcess `json:"children,omitzero"`
}

// psPort is where a process listens.
type psPort struct {
	Network string `json:"network"`
	Address string `json:"address"`
}

// jsonNeeds are the columns that it takes beside those of every view.
const jsonNeeds = proc.Wait | proc.Locked

func describeProcess(v *view, p *proc.Process) *psProcess {
	orphan := v.orphan(p.PID)
	d := &psProcess{
		PID: p.PID, Kernel: p.Kernel, Zombie: p.Zombie(), WaitsIn: p.WaitsIn, Started: p.Started(),
		Orphan: orphan.Verdict.String(), Name: p.Name, Args: p.Args, Tree: v.tree(p.PID),
		PPID: when(p, proc.Parent, p.PPID), PGID: when(p, proc.Group, p.PGID), Session: when(p, proc.Session, p.Session),
		UID: when(p, proc.Owner, p.UID), Threads: when(p, proc.Threads, p.Threads), Nice: when(p, proc.Priority, p.Nice),
		Age:       when(p, proc.Start, p.Age().Seconds()),
		Processor: when(p, proc.Times, (p.User + p.System).Seconds()),
		Resident:  when(p, proc.Memory, p.Resident), Virtual: when(p, proc.Memory, p.VirtualSize),
	}
	if orphan.Verdict >= proc.Likely {
		d.OrphanReasons = orphan.Reasons
	}
	if p.Knows(proc.Terminal) {
		d.TTY = proc.TTYName(p.TTY)
	}
	if p.Knows(proc.Owner) {
		d.User = nameOfUser(p.UID)
	}
	if p.Knows(proc.Status) {
		d.State, d.StateWords, d.Stat = p.State.String(), p.State.Words(), p.Stat()
	}
	if n, ok := v.job(p); ok {
		d.JobControl = &n
	}
	ports, known := v.ports(p.PID)
	if known {
		d.Ports = []psPort{}
	}
	for _, port := range ports {
		if port.Elsewhere {
			d.OtherPorts = append(d.OtherPorts, otherPort{port.Network, port.Address.String(), port.Namespace})
			continue
		}
		d.Ports = append(d.Ports, psPort{port.Network, port.Address.String()})
	}
	return d
}

// when is a value that is known where the fields are.
func when[T any](p *proc.Process, known proc.Fields, value T) *T {
	if !p.Knows(known) {
		return nil
	}
	return &value
}
