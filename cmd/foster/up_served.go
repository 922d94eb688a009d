package main

import (
	"errors"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/supervise"
)

// served is a supervisor as the control socket has it.
type served struct{ *supervise.Supervisor }

var errNotKept = errors.New("this version of foster up doesn't keep that")

func (s served) History(app string, replica, newest int) ([]client.Run, error) {
	if h, ok := any(s.Supervisor).(interface {
		History(app string, replica, newest int) ([]client.Run, error)
	}); ok {
		return h.History(app, replica, newest)
	}
	return nil, errNotKept
}

func (s served) Terminal(app string, replica int) (api.Terminal, error) {
	if t, ok := any(s.Supervisor).(interface {
		Terminal(app string, replica int) (api.Terminal, error)
	}); ok {
		return t.Terminal(app, replica)
	}
	return nil, client.ErrNoTerminal
}

func (s served) Counters() api.Counters {
	if c, ok := any(s.Supervisor).(interface{ Counters() api.Counters }); ok {
		return c.Counters()
	}
	return api.Counters{}
}
