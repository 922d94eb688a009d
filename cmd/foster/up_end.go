package main

import (
	"io"
	"sync"
	"time"

	"github.com/foster-init/foster/client"
)

// How foster up ends. Whoever reads its output may have stopped reading, by Ctrl-S, or in
// a pager: that holds up what is shown, and neither the end of the applications nor, once
// they have ended, that of foster up.

// tellBound is how long what is asked for waits until it has been told.
const tellBound = 100 * time.Millisecond

// announced tells something, and then does it, whether anybody reads or not.
func (s *server) announced(c colour, text string, do func()) {
	told := make(chan struct{})
	go func() {
		s.show.say(c, text)
		close(told)
	}()
	go func() {
		select {
		case <-told:
		case <-time.After(tellBound):
		}
		do()
	}()
}

// told waits until all was shown, and says whether it was.
func (s *server) told(watching *sync.WaitGroup, err error) bool {
	all := make(chan struct{})
	go func() {
		watching.Wait()
		s.tellEnd(err)
		s.show.end()
		close(all)
	}()
	// What has ended by itself may be read as slowly as somebody likes.
	rested := s.rested.Load() || s.supervisor.EndedBy() != nil
	leisure := func() bool { return rested && s.asked.Load() == 0 }
	if !awaitReader(all, &s.show.written, leisure) {
		s.show.abandoned.Store(true)
		return false
	}
	return true
}

// tellEnd says how it has ended. An error is told by whoever gets it.
func (s *server) tellEnd(err error) {
	switch {
	case err != nil:
	case s.supervisor.Left():
		s.show.say(faint, "ended; the applications run on")
	case !s.silent:
		s.show.say(faint, "nothing is left")
	}
}

// verdict is how foster up ends. Where nobody reads, only the status tells.
func (s *server) verdict(err error, told bool) error {
	switch {
	case err != nil && !told:
		return statusError(complain(io.Discard, failedError(err)))
	case err != nil:
		return failedError(err)
	case s.supervisor.EndedBy() != nil:
		return statusOfProject(*s.supervisor.EndedBy())
	case s.failed.Load() && s.asked.Load() == 0 && !s.supervisor.Left():
		return statusError(exitRefused)
	}
	return nil
}

// statusOfProject is the exit status of an instance with which the project has ended.
func statusOfProject(i client.Instance) error {
	status := 0
	if i.Exit != nil {
		status = endOfInstance(i).status()
	}
	if status == 0 && i.State == client.Failed { // by its policy, or since it couldn't be started
		status = exitRefused
	}
	if status == 0 {
		return nil
	}
	return statusError(status)
}

// atRest says whether nothing runs, nor will by itself, nor when a file is changed.
func (s *server) atRest() bool {
	rest, ok := s.supervisor.AtRest()
	switch {
	case !ok:
		return false
	case rest.Watches:
		s.show.say(faint, "all applications have ended; a change of their files starts them again")
		return false
	}
	s.failed.Store(rest.Failed)
	return true
}
