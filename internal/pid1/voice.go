package pid1

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/escape"
	"github.com/foster-init/foster/internal/sys"
)

// level is how much is told, in tini's terms.
type level int

const (
	fatal level = iota
	warn
	info
	debug
	trace
)

// voice tells on standard error what the init does. It never holds up the init:
// where nobody reads, what there is no room for is dropped.
type voice struct {
	dialect Dialect
	most    level
	w       io.Writer
	begin   sync.Once // its thread isn't there for an init that has nothing to say
	lines   chan string
	over    chan struct{} // closed when no more comes
	said    chan struct{} // closed when all was written
}

func newVoice(o *Options, w io.Writer) *voice {
	return &voice{
		dialect: o.Dialect, most: o.Verbosity, w: w,
		lines: make(chan string, 256), over: make(chan struct{}), said: make(chan struct{}),
	}
}

func (v *voice) write() {
	defer close(v.said)
	// A terminal that is set so (stty tostop) stops who writes from the background,
	// where an init is.
	runtime.LockOSThread()
	_ = sys.BlockSignal(syscall.SIGTTOU) // without it, a write fails
	for {
		select {
		case line := <-v.lines:
			_, _ = io.WriteString(v.w, line) // nobody is left to be told
		case <-v.over:
			for len(v.lines) > 0 {
				_, _ = io.WriteString(v.w, <-v.lines) // likewise
			}
			return
		}
	}
}

func (v *voice) say(l level, format string, args ...any) {
	if l > v.most && l != fatal {
		return
	}
	v.begin.Do(func() { go v.write() })
	select {
	case v.lines <- prefix(v.dialect, l) + escape.Text(fmt.Sprintf(format, args...)) + "\n":
	default:
	}
}

// close waits until all was written, for a moment at most.
func (v *voice) close() {
	close(v.over)
	v.begin.Do(func() { close(v.said) }) // there was nothing to say
	select {
	case <-v.said:
	case <-time.After(time.Second):
	}
}

var levelNames = [...]string{"FATAL", "WARN", "INFO", "DEBUG", "TRACE"}

func prefix(d Dialect, l level) string {
	switch d {
	case Tini:
		return fmt.Sprintf("[%-5s tini (%d)] ", levelNames[l], os.Getpid())
	case DumbInit:
		return "[dumb-init] "
	}
	return "foster: "
}
