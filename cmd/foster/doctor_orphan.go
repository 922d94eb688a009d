package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/proc"
)

// Doctor tries whether orphans are reaped, by making one: this program starts itself,
// which starts itself once more and ends. The second is an orphan then; it ends when
// the pipe does from which it reads, and has to disappear. This process is no
// subreaper, so it's adopted as all others of this host are.

// reapPatience is how long an adopter may take to reap.
const reapPatience = 3 * time.Second

// newOrphanProbe is what doctor starts.
func newOrphanProbe(stdout io.Writer) *cobra.Command {
	return &cobra.Command{
		Use: "orphan", Hidden: true, Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				_, err := io.Copy(io.Discard, os.Stdin)
				return err
			}
			cmd, err := selfCommand("doctor", "orphan", "second")
			if err != nil {
				return err
			}
			cmd.Stdin = os.Stdin
			if err := cmd.Start(); err != nil {
				return err
			}
			_, err = fmt.Fprintln(stdout, cmd.Process.Pid)
			return err
		},
	}
}

func selfCommand(args ...string) (*exec.Cmd, error) {
	path, err := sys.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(path, args...)
	cmd.Args[0] = os.Args[0]
	return cmd, nil
}

// tryOrphan makes an orphan, and says who has adopted it and whether that has reaped it.
func tryOrphan(ctx context.Context) finding {
	f := finding{Name: "reaped", State: stateInfo}
	adopter, err := 0, ownProc()
	var id *proc.Process
	if err == nil {
		id, adopter, err = makeOrphan()
	}
	if err != nil {
		f.Why = "it couldn't be tried: " + err.Error()
		return f
	}
	who := "process 1"
	if p, err := proc.Read(adopter, 0); err == nil {
		who = called(p)
	}
	_, left := awaitReaped(ctx, []proc.Zombie{{Process: id}}, time.Now().Add(reapPatience))
	switch {
	case len(left) == 0:
		f.State, f.Value = stateOK, who+" adopts the orphans of this session, and reaps them"
		if adopter != 1 {
			f.Value += "; process 1 can't be tried from below it"
		}
	default:
		f.State = stateNo
		f.Why = fmt.Sprintf("%s adopts the orphans of this session, and hasn't reaped one within %s: zombies will pile up", who, short(reapPatience))
		f.Hint = "run the container with foster init -- …, or docker run --init; what foster run starts is reaped all the same"
	}
	return f
}

// makeOrphan makes an orphan that is just ending, and says who has adopted it.
func makeOrphan() (orphan *proc.Process, adopter int, err error) {
	cmd, err := selfCommand("doctor", "orphan")
	if err != nil {
		return nil, 0, err
	}
	hold, end, err := os.Pipe()
	if err != nil {
		return nil, 0, err
	}
	defer end.Close()
	defer hold.Close()
	cmd.Stdin = hold
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, 0, err
	}
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	line, rerr := bufio.NewReader(out).ReadString('\n')
	if err := cmd.Wait(); err != nil {
		return nil, 0, err
	}
	if rerr != nil {
		return nil, 0, rerr
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		return nil, 0, err
	}
	orphan, err = proc.Read(pid, 0)
	if err != nil {
		return nil, 0, err
	}
	return orphan, orphan.PPID, nil
}
