package api

import (
	"context"
	"fmt"
	"io"
	"iter"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(strangerVariable); path != "" {
		stranger(path)
		return
	}
	leaktest.Main(m)
}

// fake is a supervisor of two applications. It notes what it is asked.
type fake struct {
	mu     sync.Mutex
	asked  []string
	fails  error         // what each request fails with
	hold   chan struct{} // Start waits for it, or for its ctx
	freed  chan error    // what the ctx of Start said then
	events chan client.Event
	logs   []client.Line
	endlog error
	down   func()
	term   *fakeTerminal
	status client.Status
	ended  bool

	changes []client.Change
	runs    []client.Run
	env     client.Environment
	count   Counters
}

func (f *fake) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return f.fails
}

func (f *fake) last() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.asked) == 0 {
		return ""
	}
	return f.asked[len(f.asked)-1]
}

func (f *fake) Status() client.Status {
	s := f.status
	if s.PID == 0 && !f.ended {
		s.PID = 42
	}
	return s
}

func (f *fake) Start(ctx context.Context, targets []client.Target) error {
	err := f.note("start %v", targets)
	if f.hold != nil {
		select {
		case <-f.hold:
		case <-ctx.Done():
			f.freed <- ctx.Err()
			return ctx.Err()
		}
	}
	return err
}

func (f *fake) StopWith(_ context.Context, targets []client.Target, plan foster.StopPlan) error {
	return f.note("stop %v%s", targets, planWords(plan))
}

func (f *fake) RestartWith(_ context.Context, targets []client.Target, plan foster.StopPlan) error {
	return f.note("restart %v%s", targets, planWords(plan))
}

func planWords(p foster.StopPlan) string {
	if p.Signal == 0 && p.Scope == "" && p.Timeout == 0 {
		return ""
	}
	return fmt.Sprintf(" by %d %s %v", int(p.Signal), p.Scope, p.Timeout)
}

func (f *fake) Signal(targets []client.Target, sig syscall.Signal, scope foster.Scope) error {
	return f.note("signal %v %d %s", targets, int(sig), scope)
}

func (f *fake) Extend(targets []client.Target, by time.Duration) error {
	return f.note("extend %v %v", targets, by)
}

func (f *fake) Scale(_ context.Context, app string, replicas int) error {
	return f.note("scale %s %d", app, replicas)
}

func (f *fake) Update(_ context.Context, dryRun bool) ([]client.Change, error) {
	return f.changes, f.note("update %v", dryRun)
}

func (f *fake) Up(_ context.Context, names []string, dryRun bool) ([]client.Change, error) {
	return f.changes, f.note("up %v %v", names, dryRun)
}

func (f *fake) Down(context.Context) error {
	err := f.note("down")
	if f.down != nil {
		f.down()
	}
	return err
}

func (f *fake) Leave(context.Context) error { return f.note("leave") }

func (f *fake) Events(ctx context.Context, after uint64, follow bool) iter.Seq[client.Event] {
	_ = f.note("events %d %v", after, follow)
	return func(yield func(client.Event) bool) {
		for {
			select {
			case e, more := <-f.events:
				if !more || !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (f *fake) History(app string, replica, newest int) ([]client.Run, error) {
	return f.runs, f.note("history %s %d %d", app, replica, newest)
}

func (f *fake) Logs(ctx context.Context, query client.LogQuery) iter.Seq2[client.Line, error] {
	_ = f.note("logs %+v", query)
	return func(yield func(client.Line, error) bool) {
		for _, l := range f.logs {
			if !yield(l, nil) {
				return
			}
		}
		if f.endlog != nil {
			yield(client.Line{}, f.endlog)
		} else if query.Follow {
			<-ctx.Done()
		}
	}
}

func (f *fake) Environment(app string, replica int) (client.Environment, error) {
	return f.env, f.note("environment %s %d", app, replica)
}

func (f *fake) Terminal(app string, replica int) (Terminal, error) {
	if err := f.note("terminal %s %d", app, replica); err != nil {
		return nil, err
	}
	return f.term, nil
}

func (f *fake) Counters() Counters { return f.count }

// fakeTerminal says back what is typed. Its end is told by closing.
type fakeTerminal struct {
	io.Reader
	io.WriteCloser
	from io.Closer
	size chan [2]uint16
}

func newFakeTerminal() *fakeTerminal {
	r, w := io.Pipe()
	return &fakeTerminal{Reader: r, WriteCloser: w, from: r, size: make(chan [2]uint16, 1)}
}

func (t *fakeTerminal) Resize(columns, rows uint16) error {
	t.size <- [2]uint16{columns, rows}
	return nil
}

func (t *fakeTerminal) Close() error {
	_ = t.from.Close()
	return t.WriteCloser.Close()
}

// serveFake serves a fake until the test ends, and gives a client of it.
func serveFake(t *testing.T, f *fake) (*client.Client, *Listener) {
	t.Helper()
	leaktest.Check(t)
	l, err := Listen("test", "")
	if err != nil {
		t.Fatal(err)
	}
	serveOn(t, l, f)
	c, err := client.Dial("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, l
}

func serveOn(t *testing.T, l *Listener, f *fake) {
	t.Helper()
	ctx, end := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- Serve(ctx, l, f) }()
	t.Cleanup(func() {
		end()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
}
