package api

import (
	"bufio"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/escape"
)

// events streams events, one a line. Who reads slowly misses those that are no longer
// kept, which their numbers tell.
func (s *server) events(w http.ResponseWriter, r *http.Request) error {
	q := question{values: r.URL.Query()}
	after, follow := q.sequence("after"), q.flag("follow")
	if q.err != nil {
		return q.err
	}
	out := newLines(w)
	defer out.end()
	for e := range s.supervisor.Events(r.Context(), after, follow) {
		if out.put(e) != nil {
			return nil
		}
	}
	return nil
}

// logs streams lines of output.
func (s *server) logs(w http.ResponseWriter, r *http.Request) error {
	q := question{values: r.URL.Query()}
	query := client.LogQuery{
		Targets: q.targets("target"), Stream: q.choice("stream", "stdout", "stderr"), Newest: q.signed("newest"),
		Since: q.moment("since"), Until: q.moment("until"), Follow: q.flag("follow"), Unfinished: q.flag("unfinished"),
	}
	if q.err != nil {
		return q.err
	}
	var out *lines
	for line, err := range s.supervisor.Logs(r.Context(), query) {
		if err != nil && out == nil {
			return err // while it can be told by the status
		}
		if out == nil {
			out = newLines(w)
			defer out.end()
		}
		var what any = line
		if err != nil {
			what = problemOf(err)
		}
		if out.put(what) != nil || err != nil {
			return nil
		}
	}
	if out == nil {
		newLines(w).end()
	}
	return nil
}

// pause is how long a line may wait for others to be sent with it.
const pause = 2 * time.Millisecond

// lines writes JSON, one value a line. What comes in quick succession is sent together.
type lines struct {
	mu      sync.Mutex
	buffer  *bufio.Writer
	encode  *json.Encoder
	control *http.ResponseController
	clock   *time.Timer
	waiting bool // for the clock
	ended   bool
}

func newLines(w http.ResponseWriter) *lines {
	w.Header().Set("Content-Type", "application/jsonl")
	w.WriteHeader(http.StatusOK)
	l := &lines{buffer: bufio.NewWriterSize(w, 32<<10), control: http.NewResponseController(w), waiting: true}
	l.encode = escape.JSON(l.buffer)
	l.clock = time.AfterFunc(0, l.flush) // who asked learns at once that it is heard
	return l
}

func (l *lines) put(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.waiting {
		l.waiting = true
		l.clock.Reset(pause)
	}
	return l.encode.Encode(v)
}

func (l *lines) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.waiting = false
		l.send()
	}
}

// send gives on what is there. An error shows with the next line.
func (l *lines) send() {
	_ = l.buffer.Flush()
	_ = l.control.Flush()
}

// end is the last that may touch the connection in behalf of the request.
func (l *lines) end() {
	l.clock.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.send()
}
