//go:build linux

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
)

// aRun is one run of an instance, as it says itself.
type aRun struct {
	instance   string
	app        *application
	replica    int
	number     int
	pid, shim  int
	begin      time.Duration
	end        *record // of the leader
	members    int     // that have begun
	membersEnd []record
	asked      bool
	next       time.Duration // when the next run began; the end of time where none did
	history    *client.Run
}

// tally is what a campaign counts, and what it found.
type tally struct {
	Seed     uint64        `json:"seed"`
	Took     time.Duration `json:"took"`
	Kills    int           `json:"kills"`
	Deeds    int           `json:"deeds"` // commands, and other processes that were killed
	Runs     int           `json:"runs"`
	Adopted  int           `json:"adopted"` // how often a supervisor took over a run
	Events   int           `json:"events"`
	Lines    int           `json:"lines"`
	Unknown  int           `json:"unknown"` // ends that nobody could see
	Faults   []string      `json:"faults,omitempty"`
	LeftOver int           `json:"left_over,omitempty"` // faults that aren't shown
}

// judgement holds what foster says against what the applications say.
type judgement struct {
	*drive
	tally *tally
	runs  map[string][]*aRun // by instance
}

// judge compares the records of the applications with what foster has kept.
func (d *drive) judge() (*tally, error) {
	j := &judgement{drive: d, tally: &tally{Seed: d.Seed, Kills: d.kills, Deeds: len(d.deeds)}, runs: map[string][]*aRun{}}
	for i := range d.deeds { // what isn't over by now was before the end
		e := &d.deeds[i]
		e.settled = cmp.Or(e.settled, time.Duration(math.MaxInt64))
	}
	for _, step := range []func() error{j.readRuns, j.judgeHistory, j.judgeRuns, j.judgeEvents, j.judgeLogs} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	j.tally.Took = time.Since(d.began)
	const shown = 40
	j.tally.Faults = d.faults[:min(len(d.faults), shown)]
	j.tally.LeftOver = max(0, len(d.faults)-shown)
	return j.tally, nil
}

// readRuns reads the records.
func (j *judgement) readRuns() error {
	for _, name := range instanceNames() {
		list, err := readRecords(j.folder, name)
		if err != nil {
			return err
		}
		app, number, _ := strings.Cut(name, ".")
		replica, _ := strconv.Atoi(number) // instanceNames has made it
		byNumber := map[int]*aRun{}
		for i, n := range list {
			switch r := byNumber[n.Run]; {
			case n.Kind == runBegins:
				r = &aRun{
					instance: name, app: applicationNamed(app), replica: replica, number: n.Run, pid: n.PID, shim: n.Parent,
					begin: n.At, next: math.MaxInt64,
				}
				if before := byNumber[n.Run-1]; before != nil {
					before.next = n.At
				}
				byNumber[n.Run] = r
				j.runs[name] = append(j.runs[name], r)
			case n.Kind == runIsSecond:
				j.fault("doubled: %s was started as pid %d while another run of it lived", name, n.PID)
			case r == nil:
				return fmt.Errorf("record %d of %s is of run %d, which hasn't begun", i, name, n.Run)
			case n.Kind == runEnds:
				r.end = &n
			case n.Kind == runIsAsked:
				r.asked = true
			case n.Kind == memberBegins:
				r.members++
			case n.Kind == memberEnds:
				r.membersEnd = append(r.membersEnd, n)
			}
		}
		j.tally.Runs += len(j.runs[name])
	}
	return nil
}

// lines runs a command of foster, and decodes each line of its output.
func lines[T any](d *drive, each func(T), args ...string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*answerTime)
	defer cancel()
	cmd := d.command(ctx, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	decoder := json.NewDecoder(bufio.NewReader(out))
	for decoder.More() {
		var v T
		if err := decoder.Decode(&v); err != nil {
			return fmt.Errorf("foster %s: %w", strings.Join(args, " "), err)
		}
		each(v)
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("foster %s: %w: %s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return nil
}

// judgeHistory matches the history with the runs: each has its place there, with its exit
// status.
func (j *judgement) judgeHistory() error {
	for _, a := range applications {
		history := map[string][]*client.Run{}
		err := lines(j.drive, func(list []client.Run) {
			for i := range list {
				name := fmt.Sprintf("%s.%d", list[i].App, list[i].Replica)
				history[name] = append(history[name], &list[i])
			}
		}, "history", a.name, "-n", "0", "-o", "json")
		if err != nil && !strings.Contains(err.Error(), "never ran") {
			return err
		}
		for _, name := range instanceNames() {
			if strings.HasPrefix(name, a.name+".") {
				j.match(name, history[name])
			}
		}
	}
	return nil
}

// match matches the history of an instance with its runs.
func (j *judgement) match(name string, history []*client.Run) {
	at := 0
	for _, r := range j.runs[name] {
		n := slices.IndexFunc(history[at:], func(h *client.Run) bool { return h.PID == r.pid })
		if n < 0 {
			if j.mayBeUnseen(r) {
				continue
			}
			j.fault("a hole in the history: run %d of %s (pid %d) isn't there", r.number, name, r.pid)
			continue
		}
		for _, h := range history[at : at+n] {
			j.judgeUnseen(name, h)
		}
		r.history = history[at+n]
		at += n + 1
		j.judgeExit(r)
	}
	for _, h := range history[at:] {
		j.judgeUnseen(name, h)
	}
}

// mayBeUnseen says whether a run may be missing in the history: the supervisor and the shim
// were killed before the start was noted.
func (j *judgement) mayBeUnseen(r *aRun) bool { return j.shimKilled(r) }

// judgeUnseen judges what the history has and the application doesn't know of: its process
// must have ended before it could say so.
func (j *judgement) judgeUnseen(name string, h *client.Run) {
	switch {
	case h.Exit == nil:
		j.fault("%s: run %d of the history (pid %d) has no end", name, h.ID, h.PID)
	case strings.HasPrefix(h.Exit.Cause, "not started"):
		j.fault("%s: run %d of the history: %s", name, h.ID, h.Exit.Cause)
	case h.Exit.Code != nil:
		j.fault("%s: run %d of the history (pid %d) exited with status %d, and isn't known to the application: doubled?", name, h.ID, h.PID, *h.Exit.Code)
	}
}

// shimKilled says whether the campaign has killed the shim of a run. Where that was before the
// run had noted its parent, it has noted who adopted it.
func (j *judgement) shimKilled(r *aRun) bool {
	adopted := r.shim == 1 || j.supervisors[r.shim]
	return slices.ContainsFunc(j.deeds, func(e deed) bool {
		return e.what == "shim" && (e.pid == r.shim || adopted && e.from < r.begin && r.begin-e.from < 2*time.Second)
	})
}

// leaderKilled says whether the campaign has killed the leader of a run.
func (j *judgement) leaderKilled(r *aRun) bool {
	return slices.ContainsFunc(j.deeds, func(e deed) bool {
		return e.what == "leader" && e.pid == r.pid && e.from >= r.begin && e.from <= r.next
	})
}

// judgeExit compares how a run has ended with what the history says.
func (j *judgement) judgeExit(r *aRun) {
	h := r.history
	says := func(format string, args ...any) {
		j.fault("run %d of %s (pid %d, run %d of the history): %s", r.number, r.instance, r.pid, h.ID, fmt.Sprintf(format, args...))
	}
	if h.Exit == nil {
		says("its end isn't in the history")
		return
	}
	e := h.Exit
	switch {
	case e.Code == nil && e.Signal == "":
		j.tally.Unknown++
		if !j.shimKilled(r) {
			says("the history doesn't know how it ended (%s), and its shim wasn't killed", e.Cause)
		}
	case e.Code != nil:
		if r.end == nil || r.end.Signal != 0 || r.end.Code != *e.Code {
			says("the history has the exit status %d, itself says %s", *e.Code, r.endWords())
		}
	case r.end != nil && r.end.Signal != 0 && e.Signal == units.SignalName(syscall.Signal(r.end.Signal)):
	case e.Signal == "SIGKILL" && (j.leaderKilled(r) || j.shimKilled(r) || r.app.replaced || len(j.commandsFor(r)) > 0):
	default:
		says("the history has %s, itself says %s", e.Signal, r.endWords())
	}
}

func (r *aRun) endWords() string {
	switch {
	case r.end == nil:
		return "nothing of an end"
	case r.end.Signal != 0:
		return units.SignalName(syscall.Signal(r.end.Signal))
	}
	return fmt.Sprintf("exit status %d", r.end.Code)
}

// commandsFor are the commands that may have ended a run.
func (j *judgement) commandsFor(r *aRun) (list []int) {
	for i, e := range j.deeds {
		if e.pid == 0 && e.what != "start" && e.concerns(r) && e.from < r.next && e.settled > r.begin {
			list = append(list, i)
		}
	}
	return list
}

// concerns says whether a command is about the instance of a run.
func (e *deed) concerns(r *aRun) bool {
	return e.app == "" || e.app == r.app.name && r.replica >= e.least
}

// judgeRuns asks of each run why it ended, and why it began.
func (j *judgement) judgeRuns() error {
	for _, name := range instanceNames() {
		used := map[int]bool{} // commands that have ended a run of it
		for i, r := range j.runs[name] {
			if !j.mayEnd(r, used) {
				j.fault("needlessly ended: run %d of %s (pid %d), begun at %.3f, ended before %.3f, though nobody asked for it; its end in the history: %s",
					r.number, name, r.pid, r.begin.Seconds(), r.next.Seconds(), exitWords(r.history))
			}
			if i > 0 && !j.mayFollow(j.runs[name][i-1], r) {
				before := j.runs[name][i-1]
				j.fault("needlessly started: run %d of %s (pid %d) at %.3f, after run %d, which had come to its rest: %s",
					r.number, name, r.pid, r.begin.Seconds(), before.number, exitWords(before.history))
			}
		}
	}
	return nil
}

func exitWords(h *client.Run) string {
	if h == nil || h.Exit == nil {
		return "none"
	}
	text := h.Exit.Cause
	if h.Exit.Code != nil {
		text += fmt.Sprintf(", exit status %d", *h.Exit.Code)
	}
	return text + " " + h.Exit.Signal
}

// mayEnd says whether there was a reason for a run to end. A command is a reason only once
// for an instance.
func (j *judgement) mayEnd(r *aRun, used map[int]bool) bool {
	switch {
	case r.endedItself(), j.shimKilled(r), r.app.replaced:
		return true
	case j.leaderKilled(r) && (r.members == 0 || !r.asked):
		return true // those of parent and daemon run on, until they are done
	}
	for _, n := range j.commandsFor(r) {
		if j.deeds[n].what == "down" { // it goes on until nothing is left, whoever starts what meanwhile
			return true
		}
		if !used[n] {
			used[n] = true
			return true
		}
	}
	return false
}

// endedItself says whether all processes of a run have ended without being asked to.
func (r *aRun) endedItself() bool {
	if r.end == nil || r.end.Asked {
		return false
	}
	return !slices.ContainsFunc(r.membersEnd, func(n record) bool { return n.Asked })
}

// mayFollow says whether there was a reason for another run.
func (j *judgement) mayFollow(before, r *aRun) bool {
	switch {
	case r.app.restarts, r.app.scheduled, j.shimKilled(before):
		return true
	case r.app.tries && (before.end == nil || before.end.Code != 0 || before.end.Signal != 0):
		return true
	}
	return slices.ContainsFunc(j.deeds, func(e deed) bool {
		return e.pid == 0 && e.concerns(r) && e.from < r.begin && e.settled > before.begin
	})
}

// judgeEvents looks at the events: no number is missing, and each instance's lead from one
// state to the next.
func (j *judgement) judgeEvents() error {
	var last uint64
	states := map[string]client.State{}
	err := lines(j.drive, func(e client.Event) {
		j.tally.Events++
		if last != 0 && e.Seq != last+1 {
			j.fault("a hole in the events: %d follows %d", e.Seq, last)
		}
		last = e.Seq
		if e.App == "" && strings.Contains(e.Cause, "was killed") {
			clear(states) // another life
		}
		if e.Kind == "problem" && !tellsOfSlowDisk(e.Cause) {
			j.fault("a problem: event %d: %s", e.Seq, e.Cause)
		}
		if e.Kind != "state" {
			return
		}
		if strings.HasPrefix(e.Cause, "taken over") {
			j.tally.Adopted++
		}
		name := fmt.Sprintf("%s.%d", e.App, e.Replica)
		if was, ok := states[name]; ok && was != e.From && e.From != client.Stopped {
			j.fault("event %d of %s leads from %s, where it was %s", e.Seq, name, e.From, was)
		}
		states[name] = e.To
	}, "events", "-o", "json")
	return err
}

// tellsOfSlowDisk says whether a problem is the host's, which may be busy.
func tellsOfSlowDisk(problem string) bool {
	return strings.HasPrefix(problem, "the disk of the log of ")
}

// checkStatus compares the status of a supervisor that has settled with the records.
func (d *drive) checkStatus(status client.Status) {
	for _, p := range slices.DeleteFunc(status.Problems, tellsOfSlowDisk) {
		d.fault("foster status has a problem: %s", p)
	}
	for _, a := range status.Apps {
		known := applicationNamed(a.Name)
		for _, i := range a.Instances {
			if i.LostLines != nil {
				d.fault("foster status: %s.%d has lost lines: %s", i.App, i.Replica, i.LostLines.Text)
			}
			switch i.State {
			case client.Running, client.LeaderLost, client.Backoff, client.Scheduled, client.Stopped:
			case client.Waiting: // for one that was stopped, or is just being started
			case client.Completed, client.Failed:
				if known.restarts || known.scheduled {
					d.fault("lost: %s.%d is %s: %s", i.App, i.Replica, i.State, i.Cause)
				}
			default:
				d.fault("foster status: %s.%d is %s: %s", i.App, i.Replica, i.State, i.Cause)
			}
		}
	}
}

// logState is where the log of a writer of a run stands.
type logState struct{ first, last uint64 }

// judgeLogs reads all logs: each line that was written is there once, whole and in its order.
func (j *judgement) judgeLogs() error {
	seen := map[string]*logState{} // by "INSTANCE RUN WRITER"
	current := map[string]int{}    // run, by instance
	torn := map[string]string{}    // the last line, by "INSTANCE RUN"
	first := map[string]int{}
	err := lines(j.drive, func(l client.Line) {
		j.tally.Lines++
		name := fmt.Sprintf("%s.%d", l.App, l.Replica)
		if l.Raw != nil {
			l.Text = string(l.Raw)
		}
		if l.Text == "ready" {
			return
		}
		if l.Stream == "foster" {
			j.fault("the log of %s: %s", name, l.Text)
			return
		}
		run, writer, number, ok := parseLine(l.Text, name)
		if !ok {
			key := fmt.Sprintf("%s %d %s", name, current[name], l.Stream)
			if was, had := torn[key]; had {
				j.fault("the log of %s has a torn line, and another: %.80q, %.80q", name, was, l.Text)
			}
			torn[key] = l.Text
			return
		}
		if run < current[name] {
			j.fault("the log of %s: a line of run %d comes after run %d: %.60q", name, run, current[name], l.Text)
		}
		if was, had := torn[fmt.Sprintf("%s %d %s", name, run, l.Stream)]; had {
			j.fault("the log of %s: a line is torn in the middle of run %d: %.80q", name, run, was)
		}
		current[name] = run
		if first[name] == 0 {
			first[name] = run
		}
		key := fmt.Sprintf("%s %d %s", name, run, writer)
		s := seen[key]
		switch {
		case s == nil:
			s = &logState{first: number}
			seen[key] = s
			if number != 1 && !(applicationNamed(l.App).keepsFew && run == first[name]) {
				j.fault("lines are missing in the log of %s: of run %d, %s begins with %d", name, run, writer, number)
			}
		case number <= s.last:
			j.fault("a line is doubled in the log of %s: %d of run %d, %s, after %d", name, number, run, writer, s.last)
		case number != s.last+1:
			j.fault("lines are missing in the log of %s: of run %d, %s, %d follows %d", name, run, writer, number, s.last)
		}
		s.last = number
	}, "logs", "-o", "json")
	if err != nil {
		return err
	}
	return j.judgeCounts(seen, first)
}

// judgeCounts compares the last line of each writer with what it says that it wrote.
func (j *judgement) judgeCounts(seen map[string]*logState, first map[string]int) error {
	for name, runs := range j.runs {
		for _, r := range runs {
			if r.app.keepsFew && r.number <= first[name] {
				continue
			}
			paths, err := filepath.Glob(countPath(j.folder, name, r.number, "*"))
			if err != nil {
				return err
			}
			for _, path := range paths {
				writer := path[strings.LastIndexByte(path, '.')+1:]
				begun, written := readCount(path)
				var last uint64
				if s := seen[fmt.Sprintf("%s %d %s", name, r.number, writer)]; s != nil {
					last = s.last
				}
				if last > begun {
					j.fault("the log of %s has line %d of run %d, %s, which has written %d", name, last, r.number, writer, begun)
				}
				if last < written && !j.mayLoseOutput(r) {
					j.fault("lines are missing at the end in the log of %s: run %d, %s, has written %d, and the log has %d", name, r.number, writer, written, last)
				}
			}
		}
	}
	return nil
}

// mayLoseOutput says whether what a run wrote last may be lost: supervisor and shim, which
// had the pipe, were both killed.
func (j *judgement) mayLoseOutput(r *aRun) bool { return j.shimKilled(r) }

// parseLine reads a line that an application has written.
func parseLine(text, instance string) (run int, writer string, number uint64, ok bool) {
	body, sum, found := cutLast(text, " #")
	if !found || fmt.Sprintf("%08x", crc32.ChecksumIEEE([]byte(body))) != sum {
		return 0, "", 0, false
	}
	fields := strings.SplitN(body, " ", 5)
	if len(fields) < 4 || fields[0] != instance {
		return 0, "", 0, false
	}
	run, err := strconv.Atoi(fields[1])
	number, nerr := strconv.ParseUint(fields[3], 10, 64)
	return run, fields[2], number, err == nil && nerr == nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
