//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/journal"
)

// verdict is what a case has shown.
type verdict struct {
	Failures  []string `json:"failures,omitempty"`
	Row       string   `json:"row"` // of the table of promises
	Processes int      `json:"processes"`
	Recovered bool     `json:"recovered"` // foster recover was needed
	// What the table doesn't promise to end: who has left the group; who may be of a lost
	// tree, was named and not signalled; who was never seen by foster.
	Escaped  int           `json:"escaped"`
	Unproven int           `json:"unproven"`
	Unseen   int           `json:"unseen"`
	Said     string        `json:"said,omitempty"` // by the owner
	Took     time.Duration `json:"took"`           // from the start of the owner's program until nothing of foster was left
}

func sortByPID(list []process) {
	slices.SortFunc(list, func(a, b process) int { return a.pid - b.pid })
}

func (w *world) fail(format string, args ...any) {
	w.verdict.Failures = append(w.verdict.Failures, fmt.Sprintf(format, args...))
}

// row names the promise that a case is held to.
func (f facts) row() string {
	switch {
	case f.ownerKilled && f.shimKilled:
		return "both killed"
	case f.ownerKilled:
		return "owner killed"
	case f.shimKilled:
		return "shim killed"
	case f.leaderKilled:
		return "leader killed"
	case f.stopped:
		return "stop"
	}
	return "end by itself"
}

// scarce says that the case has too little of something, so that foster may refuse to start.
func (c testCase) scarce() bool {
	return c.option("state")+c.option("files")+c.option("procs")+c.option("out") != ""
}

// judge holds the promises against what is left.
func (w *world) judge() {
	c := w.look()
	w.verdict.Row, w.verdict.Processes, w.verdict.Said = w.facts.row(), len(w.numbers), w.said()
	w.verdict.Took = time.Since(w.ready)
	if c.owner != nil {
		w.fail("the owner hasn't ended: %v", *c.owner)
	}
	for _, p := range c.helpers {
		w.fail("a process of foster's own is left: %v", p)
	}
	if c.owner == nil {
		w.judgeStatus()
	}
	// A tree is lost if both its sides were killed. Below a subreaper a program of the library
	// can't end all without the shim, and keeps the entry for foster recover.
	var found, named map[int]bool
	var proven map[int]proof
	if c.owner == nil && (w.facts.ownerKilled || w.facts.shimKilled && w.c.owner != "run") && (len(c.members)+len(w.entries())+len(w.cgroups()) > 0) {
		w.reuse()
		proven = w.proven(w.look())
		found, named = w.recover()
		c = w.look()
	}
	for _, p := range c.members {
		if p.exiting && p.threads == 1 {
			continue // the first process of a PID namespace, while the kernel ends the others
		}
		why := proven[p.pid]
		if why.by != 0 && !found[why.by] {
			why = proof{} // the proof ended before foster recover looked
		}
		switch w.excuse(p, named[p.pid], why.text != "") {
		case "escaped":
			w.verdict.Escaped++
		case "unproven":
			w.verdict.Unproven++
		case "unseen":
			w.verdict.Unseen++
		default:
			w.fail("lost: %v%s", p, why.text)
		}
	}
	if len(named) == 0 && w.c.option("state") == "" {
		for _, entry := range w.entries() {
			w.fail("left in the journal: %s", entry)
		}
	}
	for _, cgroup := range w.cgroups() {
		// One that was made before the journal had its entry is removed when it is a minute old.
		if !w.facts.ownerKilled || len(c.members) > 0 && w.c.option("state") == "" {
			w.fail("left: cgroup %s", cgroup)
		}
	}
	w.judgeStrangers()
}

// excuse says why the table of promises doesn't have a process ended; "": it has.
func (w *world) excuse(p process, named, proven bool) string {
	if w.c.containment == "group" && !slices.Contains(w.leaders(), p.pgid) {
		return "escaped"
	}
	unheld := w.facts.ownerKilled && w.facts.shimKilled && (w.c.containment == "group" || w.c.containment == "subreaper") ||
		w.facts.shimKilled && w.c.containment == "subreaper" && w.c.owner == "lib" ||
		w.facts.ownerKilled && w.c.containment == "subreaper" && w.c.owner == "init" // it has no shim
	if w.facts.ownerKilled && w.facts.shimKilled && w.c.option("state") != "" {
		return "unseen" // there was no room for a journal
	}
	switch {
	case !unheld || proven:
		return ""
	case named:
		return "unproven"
	}
	return "unseen"
}

// proof is why a process is proven to be of a lost tree.
type proof struct {
	text string
	by   int // another, by which it is; 0: it is recorded itself
}

// proven says who is proven to be of a lost tree, by the facts that the journal has: a recorded
// member, who descends from one, and who shares a session or a group with one that a member
// has made.
func (w *world) proven(c crowd) map[int]proof {
	trees, _, err := journal.Scan(w.path("state/foster"))
	if err != nil {
		w.fail("the journal can't be read: %v", err)
	}
	recorded, made := map[int]uint64{}, map[int]bool{}
	for _, f := range trees {
		if f.Life == nil || w.c.containment == "pidns" {
			continue
		}
		for _, m := range append(f.Life.Members, f.Life.Leader) {
			recorded[m.PID], made[m.PID] = m.Start, true
			if m.Session != f.Life.Leader.Session {
				made[m.Session] = true
			}
		}
	}
	proven, held := map[int]proof{}, map[int]int{} // held: groups and sessions, by one in them that is proven
	delete(made, 0)
	for changed := true; changed; {
		changed = false
		for _, p := range c.all {
			start, known := recorded[p.pid]
			isRecorded := known && (start == p.start || w.c.option("clock") != "") && !w.strangers[p.id()]
			var why proof
			switch {
			case isRecorded:
				why = proof{": the journal has it", 0}
			case proven[p.ppid].text != "":
				why = proof{": its parent is proven", p.ppid}
			case held[p.pgid] != 0:
				why = proof{": its group is proven", held[p.pgid]}
			case held[p.sid] != 0:
				why = proof{": its session is proven", held[p.sid]}
			}
			isMember := slices.ContainsFunc(c.members, func(m process) bool { return m.pid == p.pid })
			if isMember && proven[p.pid].text == "" && why.text != "" {
				proven[p.pid], changed = why, true
			}
			if isRecorded || proven[p.pid].text != "" { // a zombie, too, keeps its numbers
				for _, n := range []int{p.pgid, p.sid} {
					if made[n] && held[n] == 0 {
						held[n], changed = p.pid, true
					}
				}
			}
		}
	}
	return proven
}

// recover runs foster recover, and returns whom it has found, and whom it names as perhaps left.
func (w *world) recover() (found, named map[int]bool) {
	w.verdict.Recovered = true
	found, named = map[int]bool{}, map[int]bool{}
	out, err := os.OpenFile(w.path("recovered"), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		w.fail("recover: %v", err)
		return found, named
	}
	defer out.Close()
	attr := &syscall.ProcAttr{Env: w.environment(), Files: []uintptr{0, out.Fd(), 2}, Sys: &syscall.SysProcAttr{}}
	if w.c.option("user") != "" {
		attr.Sys.Credential = &syscall.Credential{Uid: uint32(w.UID), Gid: uint32(w.UID), NoSetGroups: false}
	}
	pid, err := w.children.start(filepath.Join(w.Dir, "foster"), []string{"foster", "recover", "-o", "json"}, attr)
	if err != nil {
		w.fail("recover: %v", err)
		return found, named
	}
	status, ended := w.children.wait(pid, time.Now().Add(w.Limit))
	text, _ := os.ReadFile(w.path("recovered")) // as empty
	if !ended {
		w.fail("foster recover hasn't ended")
		return found, named
	}
	type one struct {
		PID int    `json:"pid"`
		Why string `json:"why"`
	}
	var trees []struct {
		Found     []one  `json:"found"`
		Survivors []one  `json:"survivors"`
		Unproven  []one  `json:"unproven"`
		Error     string `json:"error"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(text), &trees); err != nil && w.c.option("state") == "" {
		w.fail("foster recover: %v: %v: %s", status.ExitStatus(), err, text)
	}
	for _, t := range trees {
		for _, f := range t.Found {
			found[f.PID] = true
		}
		for _, s := range t.Survivors {
			w.fail("foster recover couldn't end %d: %s", s.PID, s.Why)
		}
		for _, u := range t.Unproven {
			named[u.PID] = true
			for id := range w.strangers {
				if id.pid == u.PID {
					w.fail("foster recover names a stranger, %d: %s", u.PID, u.Why)
				}
			}
		}
		if t.Error != "" {
			w.fail("foster recover: %s", t.Error)
		}
	}
	if want := len(named) > 0; status.ExitStatus() != 0 && !(want && status.ExitStatus() == 123) && w.c.option("state") == "" {
		w.fail("foster recover: exit status %d: %s", status.ExitStatus(), text)
	}
	w.verdict.Said += fmt.Sprintf("\nfoster recover has found %v and names %v", slices.Sorted(maps.Keys(found)), slices.Sorted(maps.Keys(named)))
	return found, named
}

// entries are the trees that the journal has.
func (w *world) entries() []string {
	list, _ := filepath.Glob(w.path("state/foster/*.tree")) // the pattern is valid
	return list
}

// cgroups are those that foster has made.
func (w *world) cgroups() (list []string) {
	if w.Cgroup != "" {
		list, _ = filepath.Glob(filepath.Join(w.Cgroup, "*", "cgroup.procs")) // as above
	}
	return list
}

// judgeStatus holds the owner's exit status against what the leader did.
func (w *world) judgeStatus() {
	status, _ := w.children.status(w.owner)
	if w.facts.ownerKilled {
		return
	}
	got := status.ExitStatus()
	own, may, must := w.c.program.ends()
	allowed := map[int]bool{}
	if w.facts.shimKilled || w.c.scarce() {
		allowed[125] = true
		allowed[126] = w.c.scarce()
	}
	if may {
		allowed[own] = true
		allowed[1] = allowed[1] || w.c.option("loss") == "fail"
	}
	if w.facts.leaderKilled || w.facts.memberHarmed || w.facts.shimKilled { // before its exec, the leader is a copy of the shim
		allowed[137] = true
	}
	if w.facts.stopped || w.c.option("until") != "" || w.c.option("loss") != "" {
		allowed[143], allowed[130], allowed[137] = true, true, true
	}
	if w.c.option("lease") != "" {
		allowed[124] = true
	}
	if w.c.option("out") == "closed" { // by SIGPIPE
		allowed[141] = true
	}
	if w.c.option("procs")+w.c.option("files") != "" { // not even the owner can be executed, or Go's runtime crashes
		allowed[1], allowed[2] = true, true
	}
	if w.c.owner == "init" && w.facts.stopped { // process 1 exits by a signal before it has handlers
		allowed[2] = true
	}
	if w.c.owner != "run" && strings.Contains("\n"+w.said()+"\n", "\nlibrary: context canceled\n") { // before its start
		allowed[125] = true
	}
	if !allowed[got] {
		w.fail("the owner's exit status is %d; the leader's program would exit with %d (%t)", got, own, must)
	}
}

// checkZombies holds it to it that what ends is reaped while the tree lives.
func (w *world) checkZombies() {
	if strings.Contains(w.c.program.String(), "K") {
		return // who is traced is reaped when the tracer lets go
	}
	var left []process
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		left = nil
		c := w.look()
		for _, p := range c.all {
			isLeader := w.c.containment == "group" && slices.Contains(w.leaders(), p.pid) // it keeps the group's number
			if !p.alive() && !isLeader && slices.ContainsFunc(c.helpers, func(h process) bool { return h.pid == p.ppid }) {
				left = append(left, p)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	for _, p := range left {
		w.fail("a zombie is left by foster: %v", p)
	}
}

// judgeStrangers holds it to it that nobody else was signalled: a stranger blocks all signals,
// so one that it was sent is pending, or has ended or stopped it.
func (w *world) judgeStrangers() {
	for id := range w.strangers {
		p, ok := readProcess(id.pid)
		if !ok || p.start != id.start || !p.alive() {
			status, _ := w.children.status(id.pid)
			w.fail("a stranger, %d, was ended: %v", id.pid, status)
			continue
		}
		for _, key := range []string{"SigPnd", "ShdPnd"} {
			if pending := statusField(id.pid, key); strings.Trim(pending, "0") != "" {
				w.fail("a stranger, %d, was signalled: %s is %s", id.pid, key, pending)
			}
		}
		if p.state == 'T' {
			w.fail("a stranger, %d, was stopped", id.pid)
		}
	}
}
