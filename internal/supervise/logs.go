package supervise

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/logs"
)

// newLogs makes the store of what the applications write, below the state folder.
func (s *Supervisor) newLogs() *logs.Store {
	store := logs.NewStore(filepath.Join(s.options.State, "logs"), func(name string, err error) {
		go s.post(func() { s.problem("the log of "+name, err) }) // the capture doesn't wait for the loop
	})
	store.OnLoss(func(app string, replica int, what string) {
		go s.post(func() { s.lostLines(app, replica, what) })
	})
	return store
}

// lostLines tells that lines are lost which the log of an instance should have.
func (s *Supervisor) lostLines(app string, replica int, what string) {
	for _, i := range s.instances() {
		if i.app.spec.Name == app && i.replica == replica {
			i.lostLines = &client.LostLines{Time: time.Now(), Text: what}
			s.event(i, "log", "%s", what)
			return
		}
	}
	s.event(nil, "log", "%s.%d: %s", app, replica, what)
}

func logPolicy(c config.Logs) logs.Policy {
	return logs.Policy{
		JSON: c.Format == "json", MaxSize: c.MaxSize, MaxAge: c.MaxAge, MaxFiles: c.MaxFiles,
		Compress: c.Compress, Block: c.OnFull == "block",
	}
}

// keepOutput has the output of an application go to pipes that capture reads.
func keepOutput(cmd *foster.Cmd, spec *config.App) {
	cmd.KeepOutput = !spec.Logs.Disabled && !spec.Terminal // see terminal.open
	cmd.Pipes = cmd.KeepOutput
}

// capture has what a tree writes go to the log of its instance. fresh says that the run
// has just begun.
func (s *Supervisor) capture(i *instance, tree *foster.Tree, fresh bool) (list captures) {
	stdout, stderr := tree.Pipes()
	if i.terminal != nil {
		stdout = i.terminal.output
	}
	if stdout == nil && stderr == nil {
		return nil
	}
	log := s.logs.Log(i.app.spec.Name, i.replica)
	log.SetPolicy(logPolicy(i.current.Logs))
	heard := s.lineWatch(i)
	for stream, pipe := range map[logs.Stream]*os.File{logs.Stdout: stdout, logs.Stderr: stderr} {
		if pipe == nil {
			continue
		}
		c, err := log.Capture(stream, pipe, fresh, heard)
		if err != nil {
			s.event(i, "problem", "its %s can't be read: %v", stream, err)
			continue
		}
		list = append(list, c)
	}
	return list
}

// captures are those of a run.
type captures []*logs.Capture

// slowDisk is after how long it is told that a run's last lines aren't in the log yet.
const slowDisk = time.Second

// finish says that the tree is empty: what is in the pipes then is the rest.
func (list captures) finish() {
	for _, c := range list {
		c.Finish()
	}
}

// unwritten is what a run has written and may not be in its log yet.
type unwritten struct {
	terminal *terminal // nil: none
	output   captures
}

// finish is called when the tree is empty.
func (l *unwritten) finish() { l.terminal.end() }

// written waits until all is in the log, or can't be, and says whether that is so; else the
// time was over. What comes by a terminal goes to the pipe first.
func (l *unwritten) written(over <-chan struct{}) bool {
	if !l.terminal.await(over) {
		return false
	}
	l.output.finish()
	for _, c := range l.output {
		select {
		case <-c.Done():
		case <-over:
			return false
		}
	}
	return true
}

// writtenSoon is written for as long as a disk takes that isn't slow.
func (l *unwritten) writtenSoon() bool {
	soon, cancel := context.WithTimeout(context.Background(), slowDisk)
	defer cancel()
	return l.written(soon.Done())
}

// awaitsDisk tells that a run has ended whose last lines aren't in the log yet, and at the end
// of that, that they are.
func (s *Supervisor) awaitsDisk(i *instance, waits bool) {
	var err error
	if waits {
		err = errors.New("it is slow: the run has ended, and its last lines aren't in the log yet")
	}
	name := fmt.Sprintf("the disk of the log of %s.%d", i.app.spec.Name, i.replica)
	s.post(func() { s.problem(name, err) })
}

// Logs gives lines of output, in the order of time. With query.Follow it ends when ctx is
// done, or when the supervisor has ended, and all that was written before then was given.
func (s *Supervisor) Logs(ctx context.Context, query client.LogQuery) iter.Seq2[client.Line, error] {
	return s.logs.Read(ctx, logs.Query{
		LogQuery: query, Quiet: s.quiet,
		Logs: func() ([]*logs.Log, error) { return s.logsOf(query.Targets) },
	})
}

// logsOf gives the logs of targets.
func (s *Supervisor) logsOf(targets []client.Target) (list []*logs.Log, err error) {
	seen := map[*logs.Log]bool{}
	add := func(app string, replica int) {
		if l := s.logs.Log(app, replica); !seen[l] {
			seen[l] = true
			list = append(list, l)
		}
	}
	if len(targets) == 0 {
		targets = []client.Target{{All: true}}
	}
	if asked := s.ask(func() {
		for _, t := range targets {
			var found []*instance
			if t.All {
				found = s.instances()
			} else if found, err = s.find([]client.Target{t}); err != nil {
				return
			}
			for _, i := range found {
				add(i.app.spec.Name, i.replica)
			}
		}
	}); asked != nil {
		return nil, asked
	}
	return list, err
}

// logCounters are the totals of what an instance has written.
func (s *Supervisor) logCounters(i *instance) logs.Counters {
	return s.logs.Log(i.app.spec.Name, i.replica).Counters()
}
