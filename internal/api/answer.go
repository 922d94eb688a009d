package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/units"
)

// badRequest is a request that can't be understood. It says what was expected.
type badRequest struct{ error }

func badf(format string, args ...any) error { return badRequest{fmt.Errorf(format, args...)} }

// problem is what is told of a request that wasn't followed.
type problem struct {
	client.RequestError
	Failures []client.Failure `json:"failures,omitempty"`
	Changes  []client.Change  `json:"changes,omitempty"`
}

// write answers with JSON.
func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = escape.JSON(w).Encode(v) // who doesn't want the answer is gone
}

// list is an array on the wire also where it is empty.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// refuse tells why not.
func refuse(w http.ResponseWriter, status int, e client.RequestError) {
	write(w, status, problem{RequestError: e})
}

// fail tells what a request failed with.
func fail(w http.ResponseWriter, err error) { write(w, statusOf(err), problemOf(err)) }

func problemOf(err error) problem {
	p := problem{RequestError: client.RequestError{Code: client.Code(err), Text: units.ErrorText(err)}}
	if failed, ok := errors.AsType[*client.FailedError](err); ok {
		p.Failures = failed.Failures
	}
	if wrong, ok := config.IsError(err); ok {
		for _, m := range wrong.Problems {
			p.Mistakes = append(p.Mistakes, client.Mistake(m))
		}
	}
	if h, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		p.Hint = h.Hint()
	} else if errors.Is(err, client.ErrUnknown) {
		p.Hint = "foster status lists the applications"
	}
	return p
}

func statusOf(err error) int {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return http.StatusRequestEntityTooLarge
	}
	if _, ok := errors.AsType[badRequest](err); ok {
		return http.StatusBadRequest
	}
	switch {
	case errors.Is(err, client.ErrUnknown):
		return http.StatusNotFound
	case errors.Is(err, client.ErrNotRunning), errors.Is(err, errBusy):
		return http.StatusServiceUnavailable
	}
	return http.StatusConflict
}

// read takes the body of a request; none is an empty one.
func read(w http.ResponseWriter, r *http.Request, to any) error {
	text, err := readBody(w, r)
	if errors.Is(err, errBusy) {
		return err
	}
	from := json.NewDecoder(bytes.NewReader(text))
	from.DisallowUnknownFields()
	if err == nil {
		err = from.Decode(to)
	}
	if err == io.EOF {
		return nil
	}
	if err == nil {
		if _, err = from.Token(); err == io.EOF {
			return nil
		}
		if err == nil {
			err = errors.New("there is more behind it")
		}
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return fmt.Errorf("the body is too long: at most %d bytes are taken: %w", longestBody, err)
	}
	return badf("the body: one JSON object was expected: %w", err)
}
