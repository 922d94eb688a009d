package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"time"
)

// Events gives the events after a number that are kept, and with follow those to come,
// until the supervisor ends in order. An error is the last that it gives.
func (c *Client) Events(ctx context.Context, after uint64, follow bool) iter.Seq2[Event, error] {
	query := url.Values{"after": {strconv.FormatUint(after, 10)}, "follow": {strconv.FormatBool(follow)}}
	return stream[Event](ctx, c, "/v1/events", query)
}

// Logs gives lines of output, those of all applications in the order of time. An error
// is the last that it gives.
func (c *Client) Logs(ctx context.Context, q LogQuery) iter.Seq2[Line, error] {
	if slices.Contains(q.Targets, Target{}) {
		return func(yield func(Line, error) bool) { yield(Line{}, ErrNoTarget) }
	}
	return stream[Line](ctx, c, "/v1/logs", q.values())
}

// values writes a query as part of an address.
func (q LogQuery) values() url.Values {
	v := url.Values{"newest": {strconv.Itoa(q.Newest)}, "follow": {strconv.FormatBool(q.Follow)}}
	for _, t := range q.Targets {
		if t.All {
			v.Del("target")
			break
		}
		v.Add("target", t.App+"."+strconv.Itoa(t.Replica))
	}
	if q.Unfinished {
		v.Set("unfinished", "true")
	}
	if q.Stream != "" {
		v.Set("stream", q.Stream)
	}
	for key, at := range map[string]time.Time{"since": q.Since, "until": q.Until} {
		if !at.IsZero() {
			v.Set(key, at.Format(time.RFC3339Nano))
		}
	}
	return v
}

// item is one line of a stream. The last may be an error.
type item[T any] struct {
	value T
	RequestError
}

func (i *item[T]) UnmarshalJSON(text []byte) error {
	return errors.Join(json.Unmarshal(text, &i.value), json.Unmarshal(text, &i.RequestError))
}

// stream reads an answer of one JSON value a line.
func stream[T any](ctx context.Context, c *Client, path string, query url.Values) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		answer, done, err := c.open(ctx, "GET", path, query, nil)
		if err != nil {
			yield(none, err)
			return
		}
		defer done()
		defer answer.Body.Close()
		if refused(answer) {
			yield(none, refusal(answer, nil))
			return
		}
		for lines := json.NewDecoder(answer.Body); ; {
			var i item[T]
			switch err := lines.Decode(&i); {
			case err == io.EOF:
				return
			case err != nil:
				yield(none, answered(err))
				return
			case i.Text != "":
				yield(none, &i.RequestError)
				return
			case !yield(i.value, nil):
				return
			}
		}
	}
}
