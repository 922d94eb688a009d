package client

import (
	"errors"
	"strings"
)

var (
	// ErrUnknown says that the project has no such application or replica.
	ErrUnknown = errors.New("there is no such application")
	// ErrNotRunning says that there is no supervisor of the project.
	ErrNotRunning = errors.New("foster up isn't running")
	// ErrNoTerminal says that an application has no terminal to attach to.
	ErrNoTerminal = errors.New("it has no terminal")
)

// Failure is what one instance couldn't do.
type Failure struct {
	App       string   `json:"app"`
	Replica   int      `json:"replica"`
	Text      string   `json:"text"`
	Survivors []string `json:"survivors,omitempty"` // who couldn't be ended
}

// FailedError is a request that some instances couldn't follow; the others have.
type FailedError struct {
	Failures []Failure `json:"failures"`
}

func (e *FailedError) Error() string {
	texts := make([]string, len(e.Failures))
	for i, f := range e.Failures {
		texts[i] = f.App + ": " + f.Text
	}
	return strings.Join(texts, "; ")
}
