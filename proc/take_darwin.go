package proc

import (
	"fmt"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// known are the columns that sysctl(3) has of every process.
const known = Parent | Group | Terminal | Status | Start | Priority | Name

func take(_ string, want Fields) (*Table, error) {
	at, err := now()
	if err != nil {
		return nil, err
	}
	rows, err := sys.ProcessTable(0)
	if err != nil {
		return nil, fmt.Errorf("the process table: %w", err)
	}
	list := make([]Process, len(rows))
	for i := range rows {
		fill(&list[i], &rows[i], want, at)
	}
	return newTable(list, at, Always|want, sys.Exists), nil
}

func readOne(_ string, pid int, want Fields) (*Process, error) {
	at, err := now()
	if err != nil {
		return nil, err
	}
	if pid <= 0 {
		return nil, fmt.Errorf("process %d: %w", pid, ErrGone)
	}
	rows, err := sys.ProcessTable(pid)
	if err == syscall.ESRCH || err == nil && len(rows) == 0 {
		err = ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("process %d: %w", pid, err)
	}
	p := new(Process)
	fill(p, &rows[0], want, at)
	return p, nil
}

func now() (*moment, error) {
	boot, err := sys.BootID()
	if err != nil {
		return nil, fmt.Errorf("the boot's name: %w", err)
	}
	return &moment{boot: boot, now: time.Now()}, nil
}

func fill(p *Process, row *sys.ProcessRow, want Fields, at *moment) {
	*p = Process{
		PID: row.PID, PPID: row.PPID, PGID: row.PGID, TTY: row.TTY, Foreground: row.Foreground,
		State: State(row.State), Priority: row.Priority, Nice: row.Nice, Name: row.Name,
		UID: -1, GID: -1, RealUID: -1, Flags: uint64(row.Flags), start: row.Start, known: known, at: at,
	}
	if sid, err := sys.SessionOf(row.PID); err == nil {
		p.Session = sid
		p.known |= Session
	}
	if want&Owner != 0 {
		p.UID, p.GID = row.UID, row.GID
		p.known |= Owner
	}
	if want&Signals != 0 {
		p.Signals = SignalState{Ignored: uint64(row.Ignored), Caught: uint64(row.Caught), Blocked: uint64(row.Blocked)}
		p.RealUID = row.RealUID
		p.known |= Signals
	}
	if want&(Args|Exe) != 0 {
		if args, exe, err := sys.Arguments(row.PID); err == nil {
			if want&Args != 0 {
				p.Args = args
			}
			if want&Exe != 0 {
				p.Exe = exe
			}
			p.known |= want & (Args | Exe)
		}
	}
}

func started(start uint64, _ *moment) time.Time { return time.UnixMicro(int64(start)) }
