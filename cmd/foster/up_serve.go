package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/contain"
	"github.com/foster-init/foster/internal/supervise"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/units"
)

// server is a foster up that runs the project itself.
type server struct {
	*upper
	supervisor *supervise.Supervisor
	metrics    metricsServer
	show       *show
	terminal   bool         // it has one, whose end is its own
	asked      atomic.Int32 // to stop, by Ctrl-C and the like
	lastAsked  time.Time
	hurried    time.Time   // when all got their stop signal without delay
	rested     atomic.Bool // all has ended by itself
	failed     atomic.Bool // and some of it badly
}

// serve runs the project until it's stopped. The caller has its lock.
func (u *upper) serve(ctx context.Context) error {
	// If a shim is killed, its tree falls to this process.
	if err := contain.Adopt(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("become the subreaper: %w", err)
	}
	signals := upSignals()
	listener, err := api.Listen(u.project.Name, u.project.Group)
	if err != nil {
		return err
	}
	metrics, err := listenMetrics(u.project.Metrics)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	s := &server{upper: u, show: newShow(u.stdout, u.stderr, u.noColour)}
	s.show.timestamps, s.show.quiet = u.timestamps || u.monitor != 0, u.silent
	if u.monitor != 0 {
		s.show.stderr.w.Reset(&ownLog{u.stderr, u.logPath()})
	}
	if u.lockless != nil {
		s.show.say(yellow, "goes on without a lock in the folder of its state: "+u.lockless.Error())
	}
	for _, a := range u.project.Apps {
		s.show.app(a.Name, a.Replicas, a.Readiness != nil || a.Notify || a.Forking)
	}
	if tty := openTerminal(); tty != nil {
		s.terminal = true
		tty.file.Close()
	}
	s.supervisor = supervise.New(u.project, supervise.Options{
		Load: u.load, Prepare: func(next *config.Project) error { return s.moveTo(next, listener) }, State: u.folder, Version: version(), Only: u.only, Daemon: u.monitor != 0,
	})
	s.metrics.of, s.metrics.failed = s.supervisor, func(err error) { go s.show.say(red, fmt.Sprintf("metrics: %v", err)) }
	s.metrics.serve(u.project.Metrics, metrics)
	defer s.metrics.close()
	return s.run(ctx, listener, signals)
}

// moveTo does what an update needs that isn't of the applications. Where a part of it can't
// be, none is.
func (s *server) moveTo(next *config.Project, l *api.Listener) error {
	was := l.Group()
	if err := l.Admit(next.Group); err != nil {
		return err
	}
	if err := s.metrics.move(next.Metrics); err != nil {
		return errors.Join(err, l.Admit(was))
	}
	return nil
}

// run is the supervisor, the socket, the output and the signals until all has ended.
func (s *server) run(ctx context.Context, listener *api.Listener, signals <-chan os.Signal) error {
	var watching, serving sync.WaitGroup
	over, end := context.WithCancel(ctx)
	defer end()
	watching.Go(func() { s.watchEvents(over) })
	if s.monitor == 0 {
		watching.Go(func() { s.watchLogs(over) })
	}
	serving.Go(func() {
		if err := api.Serve(over, listener, s.supervisor); err != nil && over.Err() == nil {
			go s.show.say(red, fmt.Sprintf("the control socket: %v", err))
		}
	})
	serving.Go(func() { s.heed(over, signals) })
	s.pipe.started(s.project.Name)
	err := s.supervisor.Run(ctx)
	told := s.told(&watching, err)
	end()
	serving.Wait()
	return s.verdict(err, told)
}

// upSignals asks for the signals that foster up heeds.
func upSignals() <-chan os.Signal {
	wanted := []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGCHLD}
	wanted = slices.DeleteFunc(wanted, signal.Ignored) // nohup(1) sets SIGHUP so
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, wanted...)
	signal.Ignore(syscall.SIGPIPE) // whoever read its output may go: the applications don't
	return signals
}

// heed acts on signals until the end.
func (s *server) heed(ctx context.Context, signals <-chan os.Signal) {
	reap := time.NewTimer(time.Hour)
	defer reap.Stop()
	for {
		select {
		case sig := <-signals:
			if sig == syscall.SIGCHLD {
				reap.Reset(time.Second) // one look at the process table for many
				continue
			}
			s.signal(ctx, sig)
		case <-reap.C:
			reapFallen()
		case <-ctx.Done():
			return
		}
	}
}

// echo is how close two signals have to be for one that was sent twice: timeout(1) sends
// to its child and to the group that it's in.
const echo = 50 * time.Millisecond

func (s *server) signal(ctx context.Context, sig os.Signal) {
	if sig == syscall.SIGHUP && !s.hungUp() {
		go s.update(ctx)
		return
	}
	again := s.asked.Load() > 0
	if again && (sig != syscall.SIGINT || time.Since(s.lastAsked) < echo) {
		return // only Ctrl-C says that somebody is impatient: a shell, too, sends SIGHUP when the terminal is closed
	}
	s.lastAsked = time.Now() // of an echo not: who is impatient has to be heard, too
	switch s.asked.Add(1) {
	case 1:
		text := "stopping all, at " + units.SignalName(sig.(syscall.Signal))
		if sig == syscall.SIGINT {
			text = "stopping all; Ctrl-C once more stops them without delay"
		}
		s.announced(plain, text, func() { _ = s.supervisor.Down(ctx) }) // its end is that of Run
	case 2:
		s.hurried = time.Now()
		s.announced(yellow, "sending the stop signal to all at once; Ctrl-C once more ends the rest with SIGKILL", s.supervisor.Hurry)
	case 3:
		wait := max(0, leastTime-time.Since(s.hurried))
		s.announced(yellow, "ending the rest with SIGKILL", func() {
			select {
			case <-time.After(wait):
				s.supervisor.Kill()
			case <-ctx.Done():
			}
		})
	}
}

// hungUp says whether a SIGHUP came from a terminal that is gone.
func (s *server) hungUp() bool {
	if !s.terminal {
		return false
	}
	tty, err := sys.OpenTerminal()
	if err == nil {
		tty.Close()
	}
	return err != nil
}

func (s *server) update(ctx context.Context) {
	if _, err := s.supervisor.Update(ctx, false); err != nil {
		s.show.say(red, "update: "+err.Error())
	}
}

// reapFallen reaps what has left a process group, and so fell to this process.
func reapFallen() {
	for _, p := range fallen() {
		if p.Zombie() && p.PPID == os.Getpid() {
			_, _ = sys.WaitPid(p.PID) // it was reaped meanwhile: as wanted
		}
	}
}

// watchEvents tells what happens, and ends foster up in the foreground when all has come
// to rest.
func (s *server) watchEvents(ctx context.Context) {
	for e := range s.supervisor.News(ctx) {
		if e.Kind != "supervisor" || s.asked.Load() == 0 {
			s.show.event(e)
		}
		switch e.To {
		case client.Completed, client.Failed, client.Stopped:
			if s.monitor == 0 && s.atRest() {
				s.rested.Store(true)
				go func() { _ = s.supervisor.Down(ctx) }()
			}
		}
	}
}

func (s *server) watchLogs(ctx context.Context) {
	for line, err := range s.supervisor.Logs(ctx, client.LogQuery{Newest: -1, Follow: true, Unfinished: s.show.stdout.terminal || s.show.stderr.terminal}) {
		if err != nil {
			s.show.say(red, "the output can't be shown: "+err.Error())
			return
		}
		_ = s.show.line(line) // who can't read it any more sees nothing
	}
}
