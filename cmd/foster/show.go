package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/sys"
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
	begun    map[source]*begun
	open     *begun // whose line the last piece of text is, without its end; nil: a line ended
	timer    *time.Timer
}

// screen is one of the two outputs.
type screen struct {
	w        *bufio.Writer
	colours  bool
	terminal bool // shared by the applications, and by foster
}

// source is one output of an instance.
type source struct {
	client.Target
	stream string
}

// begun is a line of which a part was shown, since it was quiet: a prompt, say.
type begun struct {
	shown  []byte // as it was written
	screen *screen
}

// stampLayout is the time before a line.
const stampLayout = "2006-01-02T15:04:05.000Z07:00"

// palette are the colours of the names, by turns. Red is for what is wrong.
var palette = []colour{"36", "33", "32", "35", "34", "96", "93", "92", "95", "94"}

// newShow makes the show for two outputs.
func newShow(stdout, stderr *os.File, noColour bool) *show {
	s := &show{
		names: map[client.Target]string{}, colours: map[string]colour{}, replicas: map[string]int{}, probed: map[string]bool{}, begun: map[source]*begun{},
	}
	on := func(f *os.File) screen {
		w := bufio.NewWriterSize(counted{f, &s.written}, 32<<10)
		return screen{w, canvasOf(f).colours && !noColour, f != nil && sys.IsTerminal(f)}
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

// line shows a line of output, or the beginning of one. A terminal gets it cleaned.
func (s *show) line(l client.Line) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	to := &s.stdout
	if l.Stream == "stderr" && !s.answer {
		to = &s.stderr
	}
	text := l.Raw
	if text == nil {
		text = []byte(l.Text)
	}
	if !to.terminal {
		if l.Unfinished {
			return nil // it comes once more
		}
		s.head(to, l)
		to.w.Write(text)
		return to.w.WriteByte('\n') // the error of a buffer stays
	}
	key := source{client.Target{App: l.App, Replica: l.Replica}, l.Stream}
	b := s.begun[key]
	if b != nil && bytes.HasPrefix(text, b.shown) {
		text = text[len(b.shown):]
	} else {
		b = nil
	}
	if l.Unfinished {
		s.beginning(to, l, key, b, text)
		return nil
	}
	delete(s.begun, key)
	onward := b != nil && s.open == b
	if rest := cleaned(text); onward && !rewrites(text) {
		to.write(rest)
	} else if b == nil || len(rest) > 0 {
		s.endOpen()
		s.head(to, l)
		to.write(rest)
	} else if !onward {
		return nil // all of it was shown
	}
	s.turn(to)
	s.open = nil
	return to.w.WriteByte('\n')
}

// beginning shows what is new of a line that has no end yet. What goes on to be written over
// is no prompt: it's shown when it has ended.
func (s *show) beginning(to *screen, l client.Line, key source, b *begun, text []byte) {
	if b == nil {
		text = bytes.TrimLeft(text, "\r") // of a line before
	}
	rest, used := clean(text, false)
	if rewrites(text) || len(rest) == 0 {
		return
	}
	if b == nil || s.open != b {
		s.endOpen()
		s.head(to, l)
	}
	shown := []byte{}
	if b != nil {
		shown = b.shown
	}
	b = &begun{slices.Concat(shown, text[:used]), to}
	s.begun[key], s.open = b, b
	s.turn(to)
	to.write(rest)
}

// rewrites says whether a text goes back in its line.
func rewrites(text []byte) bool {
	return bytes.IndexByte(bytes.TrimRight(text, "\r"), '\r') >= 0 || bytes.IndexByte(text, '\b') >= 0
}

// endOpen ends the line that has none, since another is to be shown.
func (s *show) endOpen() {
	if s.open != nil {
		s.turn(s.open.screen)
		s.open.screen.w.WriteByte('\n')
		s.open = nil
	}
}

// head is what is before a line.
func (s *show) head(to *screen, l client.Line) {
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
}

// write writes what was cleaned.
func (s *screen) write(text []byte) {
	s.w.Write(text)
	if bytes.IndexByte(text, '\x1b') >= 0 {
		s.w.WriteString("\x1b[0m") // its colour isn't that of what follows
	}
}

// say tells what foster has to say.
func (s *show) say(c colour, text string) {
	if s.abandoned.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endOpen()
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

// end ends a line that was shown without its end, and writes all.
func (s *show) end() {
	s.mu.Lock()
	s.endOpen()
	s.mu.Unlock()
	s.flush()
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
