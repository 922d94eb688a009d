package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foster-init/foster/client"
)

// show writes what many applications say, each line with the name of who said it, and
// what foster has to say of them. Its methods may be called from any goroutine.
type show struct {
	stdout, stderr screen
	timestamps     bool
	plain          bool // no names: the lines as they were written
	answer         bool // the lines are what was asked for: all of them go to stdout
	quiet          bool // of foster itself, only what is wrong

	written   atomic.Int64 // bytes that somebody has taken
	abandoned atomic.Bool  // nobody takes any: nothing is written, nor waited for

	mu       sync.Mutex
	names    map[client.Target]string
	colours  map[string]colour
	width    int
	replicas map[string]int
	probed   map[string]bool // says by a probe of its own, or sd_notify(3), that it's ready
	dirty    *screen         // the one with something that isn't written yet
	timer    *time.Timer
}

// screen is one of the two outputs.
type screen struct {
	w       *bufio.Writer
	colours bool
}

// stampLayout is the time before a line.
const stampLayout = "2006-01-02T15:04:05.000Z07:00"

// palette are the colours of the names, by turns. Red is for what is wrong.
var palette = []colour{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// newShow makes the show for two outputs.
func newShow(stdout, stderr *os.File, noColour bool) *show {
	s := &show{
		names: map[client.Target]string{}, colours: map[string]colour{}, replicas: map[string]int{}, probed: map[string]bool{},
	}
	on := func(f *os.File) screen {
		return screen{bufio.NewWriterSize(counted{f, &s.written}, 32<<10), canvasOf(f).colours && !noColour}
	}
	s.stdout, s.stderr = on(stdout), on(stderr)
	return s
}

// counted counts what was written to a file.
type counted struct {
	file *os.File
	n    *atomic.Int64
}

func (c counted) Write(p []byte) (int, error) {
	n, err := c.file.Write(p)
	c.n.Add(int64(n))
	return n, err
}

// app makes an application known, so that its name is as wide as that of the others.
func (s *show) app(name string, replicas int, probed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.replicas[name], s.probed[name] = replicas, probed
	clear(s.names)
	for n := 1; n <= replicas; n++ {
		s.width = max(s.width, cells(s.name(name, n)))
	}
	s.colour(name)
}

// name is that of an instance, as a person is to see it.
func (s *show) name(app string, replica int) string {
	key := client.Target{App: app, Replica: replica}
	name, ok := s.names[key]
	if !ok {
		name = printable(app)
		if replica > 1 || s.replicas[app] > 1 {
			name = fmt.Sprintf("%s.%d", name, replica)
		}
		s.names[key] = name
	}
	return name
}

func (s *show) colour(app string) colour {
	c, ok := s.colours[app]
	if !ok {
		c = palette[len(s.colours)%len(palette)]
		s.colours[app] = c
	}
	return c
}

// line shows a line of output.
func (s *show) line(l client.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := &s.stdout
	if l.Stream == "stderr" && !s.answer {
		to = &s.stderr
	}
	s.turn(to)
	if s.timestamps {
		to.w.WriteString(l.Time.Local().Format(stampLayout) + " ")
	}
	if !s.plain {
		name := s.name(l.App, l.Replica)
		s.width = max(s.width, cells(name))
		to.paint(s.colour(l.App), name+strings.Repeat(" ", s.width-cells(name))+" |")
		to.w.WriteByte(' ')
	}
	text := l.Raw
	if text == nil {
		to.w.WriteString(l.Text)
	} else {
		to.w.Write(text)
	}
	if to.colours && (strings.IndexByte(l.Text, '\x1b') >= 0 || bytes.IndexByte(text, '\x1b') >= 0) {
		to.w.WriteString("\x1b[0m") // its colour isn't that of the next line
	}
	return to.w.WriteByte('\n') // the error of a buffer stays
}

// say tells what foster has to say.
func (s *show) say(c colour, text string) {
	if s.abandoned.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.turn(&s.stderr)
	if s.timestamps {
		s.stderr.w.WriteString(time.Now().Format(stampLayout) + " ")
	}
	s.stderr.paint(c, "foster: "+printable(text))
	s.stderr.w.WriteByte('\n')
}

// event tells of what happened, where a person wants to know.
func (s *show) event(e client.Event) {
	text, c := s.words(e)
	if text == "" || s.quiet && c != red && c != yellow {
		return
	}
	if e.App != "" {
		s.mu.Lock()
		text = s.name(e.App, e.Replica) + ": " + text
		s.mu.Unlock()
	}
	s.say(c, text)
}

// turn is before each piece that is written: what was written elsewhere comes first, and
// nothing waits for long.
func (s *show) turn(to *screen) {
	if s.dirty != nil && s.dirty != to {
		s.dirty.w.Flush()
	}
	s.dirty = to
	if s.timer == nil {
		s.timer = time.AfterFunc(20*time.Millisecond, s.flush)
	}
}

// flush writes what isn't written yet.
func (s *show) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
		s.timer = nil
	}
	if s.dirty != nil {
		s.dirty.w.Flush() // who can't read it any more sees nothing; the applications run on
		s.dirty = nil
	}
}

func (s *screen) paint(c colour, text string) {
	if c == plain || !s.colours {
		io.WriteString(s.w, text)
		return
	}
	io.WriteString(s.w, "\x1b["+string(c)+"m"+text+"\x1b[0m")
}
