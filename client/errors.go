package client

import (
	"cmp"
	"errors"
	"strings"
)

var (
	// ErrUnknown says that the project has no such application or replica.
	ErrUnknown = errors.New("there is no such application")
	// ErrNotRunning says that there is no supervisor of the project.
	ErrNotRunning = errors.New("foster up isn't running")
	// ErrNoTarget says that a request names nothing: an empty list is never taken for all.
	ErrNoTarget = errors.New("nothing is named: give an application, or client.Target{All: true} for all of them")
	// ErrNoTerminal says that an application has no terminal to attach to.
	ErrNoTerminal = errors.New("it has no terminal")
)

// RequestError is a request that the supervisor has refused. errors.Is finds ErrUnknown,
// ErrNotRunning and ErrNoTerminal in it.
type RequestError struct {
	Status int    `json:"-"` // of HTTP
	Code   string `json:"code,omitempty"`
	Text   string `json:"error"`
	Hint   string `json:"hint,omitempty"` // what can be done about it
	// Mistakes are those of the files, where these are why: nothing was changed.
	Mistakes []Mistake `json:"mistakes,omitempty"`
}

// Mistake is one thing that is wrong with a file of a project, and where.
type Mistake struct {
	File   string `json:"file,omitempty"`   // "": it is about no file
	Line   int    `json:"line,omitempty"`   // from 1; 0: it is about the whole file
	Column int    `json:"column,omitempty"` // from 1, in characters
	Path   string `json:"path,omitempty"`   // of the key: apps.web.restart
	Text   string `json:"text"`
	Hint   string `json:"hint,omitempty"`   // what may have been meant
	Source string `json:"source,omitempty"` // the line of the file
}

// codes name on the wire the errors that clients tell apart.
var codes = map[string]error{
	"unknown": ErrUnknown, "not-running": ErrNotRunning, "no-terminal": ErrNoTerminal,
}

// Code is the name on the wire of one of this package's errors, and "" of others.
func Code(err error) string {
	for code, e := range codes {
		if errors.Is(err, e) {
			return code
		}
	}
	return ""
}

func (e *RequestError) Error() string { return e.Text }

func (e *RequestError) Unwrap() error { return codes[e.Code] }

// Failure is what one instance couldn't do.
type Failure struct {
	App       string   `json:"app"`
	Replica   int      `json:"replica"`
	Name      string   `json:"name,omitempty"` // as people call it: web, or web.2 of several
	Text      string   `json:"text"`
	Survivors []string `json:"survivors,omitempty"` // who couldn't be ended
	Hint      string   `json:"hint,omitempty"`      // what could be done about it
}

// FailedError is a request that some instances couldn't follow; the others have.
type FailedError struct {
	Failures []Failure `json:"failures"`
}

func (e *FailedError) Error() string {
	texts := make([]string, len(e.Failures))
	for i, f := range e.Failures {
		texts[i] = cmp.Or(f.Name, f.App) + ": " + f.Text
	}
	return strings.Join(texts, "; ")
}
