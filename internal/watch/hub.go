package watch

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// Hub is what several watch by together. The kernel gives a user few instances of
// inotify(7), 128 by default, and other programs want some, too: so all applications of a
// project have one. The zero value is ready; it has an instance while somebody watches.
//
// Each gets the events of the folders that it has asked for, by the names that it knows
// them by: a folder is watched once, but may be known by several, through links.
type Hub struct {
	mu      sync.Mutex
	notify  *fsnotify.Watcher
	members map[*member]bool
	names   map[string]map[name]bool // of a folder, by its path without links
}

// member is one who watches.
type member struct {
	hub  *Hub
	real map[string]string // of the folders it watches: the path without links

	mu     sync.Mutex
	events []fsnotify.Event
	failed error
	news   chan struct{} // has one when there is something
}

// name is what a member knows a folder by.
type name struct {
	of   *member
	path string
}

// Run watches until ctx is done, and tells what changes. It returns an error where it
// can't watch all of it.
func (h *Hub) Run(ctx context.Context, files Files, changed func(Change)) error {
	matcher, err := newMatcher(files)
	if err != nil {
		return err
	}
	m, err := h.join()
	if err != nil {
		return explain(err, "")
	}
	defer m.leave()
	f := newFolders(matcher, m)
	if _, err := f.rescan(); err != nil {
		return err
	}
	if files.Watching != nil {
		files.Watching()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	seen := make(chan string)
	told := make(chan struct{})
	go func() {
		defer close(told)
		debounce(ctx, files.Debounce, seen, changed)
	}()
	err = follow(ctx, f, m, seen)
	cancel()
	<-told
	return err
}

// buffered is how many events may wait for the hub, beside those that wait in the kernel.
const buffered = 256

// join adds a member.
func (h *Hub) join() (*member, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notify == nil {
		notify, err := fsnotify.NewBufferedWatcher(buffered)
		if err != nil {
			return nil, err
		}
		h.notify, h.members, h.names = notify, map[*member]bool{}, map[string]map[name]bool{}
		go h.pass(notify)
		go h.passErrors(notify)
	}
	m := newMember(h)
	h.members[m] = true
	return m, nil
}

func newMember(h *Hub) *member {
	return &member{hub: h, real: map[string]string{}, news: make(chan struct{}, 1)}
}

// leave ends all that a member watches.
func (m *member) leave() {
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if delete(h.members, m); len(h.members) == 0 {
		_ = h.notify.Close() // it has nothing to say
		h.notify = nil
		return
	}
	for path := range m.real {
		h.remove(m, path)
	}
}

// Add watches a folder.
func (m *member) Add(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	h := m.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	// Also where it is watched: there may be another folder by that name.
	if err := h.notify.Add(real); err != nil {
		return err
	}
	if m.real[path] != real {
		h.remove(m, path)
	}
	m.real[path] = real
	if h.names[real] == nil {
		h.names[real] = map[name]bool{}
	}
	h.names[real][name{m, path}] = true
	return nil
}

// Remove ends the watch of a folder.
func (m *member) Remove(path string) error {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	m.hub.remove(m, path)
	return nil
}

func (h *Hub) remove(m *member, path string) {
	real, ok := m.real[path]
	if !ok {
		return
	}
	delete(m.real, path)
	delete(h.names[real], name{m, path})
	if len(h.names[real]) == 0 {
		delete(h.names, real)
		_ = h.notify.Remove(real) // the kernel may have done so
	}
}

// pass passes on what happens, until the watcher is closed.
func (h *Hub) pass(notify *fsnotify.Watcher) {
	for e := range notify.Events {
		h.event(notify, e)
	}
}

// passErrors passes on what goes wrong. It never waits for who adds a folder: fsnotify may
// hold what that one waits for until its error is taken. That a watch is gone already is
// none: its folder is.
func (h *Hub) passErrors(notify *fsnotify.Watcher) {
	for err := range notify.Errors {
		if !errors.Is(err, syscall.EINVAL) {
			go h.fail(notify, err)
		}
	}
}

// event gives an event to those who watch its folder, or whose folder it is about.
func (h *Hub) event(notify *fsnotify.Watcher, e fsnotify.Event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notify != notify || e.Name == "" {
		return
	}
	of := map[name]bool{}
	for n := range h.names[e.Name] {
		of[n] = true
	}
	for n := range h.names[filepath.Dir(e.Name)] {
		of[name{n.of, filepath.Join(n.path, filepath.Base(e.Name))}] = true
	}
	for n := range of {
		n.of.put(fsnotify.Event{Name: n.path, Op: e.Op}, nil)
	}
}

// fail gives an error to all.
func (h *Hub) fail(notify *fsnotify.Watcher, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.notify != notify {
		return
	}
	for m := range h.members {
		m.put(fsnotify.Event{}, err)
	}
}

// mostWaiting bounds the events that wait for a member, as the kernel does for all.
const mostWaiting = 16384

// put has an event or an error wait for its member. Nobody waits for that one: what is too
// much is lost, and told as the kernel tells it.
func (m *member) put(e fsnotify.Event, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil:
	case len(m.events) < mostWaiting:
		m.events = append(m.events, e)
	default:
		err = fsnotify.ErrEventOverflow
		m.events = nil // a look at all that is there stands for them
	}
	if m.failed == nil {
		m.failed = err
	}
	select {
	case m.news <- struct{}{}:
	default: // it will look
	}
}

// take takes what waits.
func (m *member) take() (events []fsnotify.Event, failed error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	events, failed = m.events, m.failed
	m.events, m.failed = nil, nil
	return events, failed
}
