package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"syscall"
)

// base is the address of every request; the socket stands for the host.
const base = "http://foster"

// call is one request. The body is sent as JSON, and the answer read into to; either
// may be nil.
func (c *Client) call(ctx context.Context, method, path string, query url.Values, body, to any) error {
	answer, done, err := c.open(ctx, method, path, query, body)
	if err != nil {
		return err
	}
	defer done()
	defer answer.Body.Close()
	switch {
	case refused(answer):
		return refusal(answer, to)
	case to == nil:
		return nil
	}
	return answered(json.NewDecoder(answer.Body).Decode(to))
}

// open sends a request and gives the answer, whose body the caller reads, closes, and
// then calls done.
func (c *Client) open(ctx context.Context, method, path string, query url.Values, body any) (*http.Response, func(), error) {
	return c.openAs(ctx, method, path, query, body, "")
}

// openAs is open for who wants to speak another protocol than HTTP from then on.
func (c *Client) openAs(ctx context.Context, method, path string, query url.Values, body any, protocol string) (*http.Response, func(), error) {
	request, err := newRequest(method, path, query, body)
	if err != nil {
		return nil, nil, err
	}
	if protocol != "" {
		request.Header.Set("Connection", "Upgrade")
		request.Header.Set("Upgrade", protocol)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(c.closed, func() { cancel(nil) })
	done := func() { unlink(); cancel(nil) }
	go c.watch(ctx, cancel)
	answer, err := c.http.Do(request.WithContext(ctx))
	if err != nil {
		defer done()
		return nil, nil, whyEnded(ctx, err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		answer.Body = &watchedBody{answer.Body, ctx}
	}
	return answer, done, nil
}

func refused(answer *http.Response) bool { return answer.StatusCode >= http.StatusBadRequest }

func newRequest(method, path string, query url.Values, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(text)
	}
	address := base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequest(method, address, content)
	if err == nil && body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	return request, err
}

// answered makes of what goes wrong on the way to a supervisor, or back, what it means.
func answered(err error) error {
	var of *url.Error
	if errors.As(err, &of) {
		err = of.Err // without the method and the made-up host
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return fmt.Errorf("the supervisor has gone before it had answered: %w", ErrNotRunning)
	}
	return err
}

// longestRefusal bounds what is read of an answer that tells why.
const longestRefusal = 1 << 20

// refusal reads why a request was refused, and into to what was told beside.
func refusal(answer *http.Response, to any) error {
	text, err := io.ReadAll(io.LimitReader(answer.Body, longestRefusal))
	if err != nil {
		return answered(err)
	}
	var told struct {
		RequestError
		Failures []Failure `json:"failures"`
	}
	if json.Unmarshal(text, &told) != nil || told.Text == "" {
		return &RequestError{Status: answer.StatusCode, Text: "the supervisor has answered " + answer.Status}
	}
	if to != nil {
		_ = json.Unmarshal(text, to) // there may be nothing beside
	}
	if len(told.Failures) > 0 {
		return &FailedError{Failures: told.Failures}
	}
	told.Status = answer.StatusCode
	return &told.RequestError
}
