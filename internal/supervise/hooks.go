package supervise

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
)

// runHook runs a command around a run, as the application's user, in its folder and with
// its environment. It is a tree of its own: when its time is over, all of it is ended.
func runHook(ctx context.Context, spec *config.App, name string, command []string) error {
	if len(command) == 0 {
		return nil
	}
	if err := runFor(ctx, spec, spec.Hooks.Timeout, command); err != nil {
		return &hookError{name, err}
	}
	return nil
}

// hookError is a hook that has failed. What it wraps is no error of the application's own
// command.
type hookError struct {
	name string
	err  error
}

func (e *hookError) Error() string { return fmt.Sprintf("hook %s: %v", e.name, e.err) }
func (e *hookError) Unwrap() error { return e.err }

// lastWords is how much of what a hook has written is told when it fails.
const lastWords = 400

func runFor(ctx context.Context, spec *config.App, timeout time.Duration, argv []string) error {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	cmd := foster.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Umask, cmd.Until = spec.Dir, environment(spec), spec.Umask, foster.UntilLeader
	cmd.Stop.Timeout = time.Second
	cmd.KeepTerminal = true // it is the supervisor's
	if err := become(cmd, spec); err != nil {
		return err
	}
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	err := cmd.Run()
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("%s took longer than %s", argv[0], timeout)
	case ctx.Err() != nil:
		return ctx.Err()
	default:
		err = fmt.Errorf("%s: %w", argv[0], withHint(spec, keyError(spec, err)))
	}
	if words := said.String(); words != "" {
		return fmt.Errorf("%w: %q", err, words)
	}
	return err
}

// tail keeps the end of what is written to it, however much that is.
type tail struct {
	end []byte
	cut bool
}

func (t *tail) Write(p []byte) (int, error) {
	t.end = append(t.end, p...)
	if extra := len(t.end) - lastWords; extra > 0 {
		t.end, t.cut = append(t.end[:0], t.end[extra:]...), true
	}
	return len(p), nil
}

func (t *tail) String() string {
	words := strings.TrimSpace(string(t.end))
	if t.cut {
		words = "…" + words
	}
	return words
}

// hook runs a command that nobody waits for; that it fails is told. It ends with the run.
func (s *Supervisor) hook(i *instance, name string, command []string) {
	if len(command) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(s.patient)
	spec := i.current
	i.endHook = cancel
	s.helpers.Go(func() {
		defer cancel()
		if err := runHook(ctx, &spec, name, command); err != nil && ctx.Err() == nil {
			s.post(func() { s.event(i, "hook", "%v", err) })
		}
	})
}
