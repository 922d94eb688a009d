package main

import (
	"io"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
	"time"
)

// readPatience is how long the end waits for a reader that reads nothing.
const readPatience = time.Second

// outliveReaders has foster go on where nobody reads what it writes any more: custody
// doesn't depend on that. SIGPIPE is caught and not ignored, since what is ignored
// would be handed on to the applications.
func outliveReaders() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
}

// teller writes, in a goroutine of its own, what foster has to say beside an
// application: who hears signals never waits for a reader.
type teller struct {
	texts   chan string
	over    chan struct{}
	written atomic.Int64 // what has been read, or has gone to a pipe's buffer
}

func newTeller(w io.Writer) *teller {
	t := &teller{texts: make(chan string, 256), over: make(chan struct{})}
	go func() {
		defer close(t.over)
		for text := range t.texts {
			_, _ = io.WriteString(w, text) // who can't read it any more sees nothing
			t.written.Add(1)
		}
	}()
	return t
}

// tell has a text written. It is dropped where nobody has read the 256 before it.
func (t *teller) tell(text string) {
	select {
	case t.texts <- text:
	default:
	}
}

// last is what is told at the end. It waits until that and all before it was written,
// as awaitReader does.
func (t *teller) last(text string, leisure func() bool) {
	go func() {
		t.texts <- text
		close(t.texts)
	}()
	awaitReader(t.over, &t.written, leisure)
}

// awaitReader waits until all is written, and says whether it was. A reader that reads
// nothing is waited for only while there's leisure.
func awaitReader(all <-chan struct{}, written *atomic.Int64, leisure func() bool) bool {
	for before := written.Load(); ; {
		select {
		case <-all:
			return true
		case <-time.After(readPatience):
		}
		now := written.Load()
		if now == before && !leisure() {
			return false
		}
		before = now
	}
}
