//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A testCase is one tree, its owner, and the harm that is done to them. Its text has three
// parts: "cgroup run stop=30ms; i f(s h) h; 1200 kill shim, 0 kill owner" runs the program
// under foster run in a cgroup, and 1200 µs after the start kills the shim and then foster.
type testCase struct {
	containment string
	owner       string   // run: foster run; init: foster init, in pidns as PID 1; lib: a program that uses the library; share: one with foster.Share
	options     []string // key=value: see the table below
	program     program
	harms       []harm
}

// A harm is done some time after the one before it.
type harm struct {
	after  time.Duration
	action string // kill, pause (SIGSTOP), resume (SIGCONT), term, int; or reuse: give the number of an ended process to a stranger
	victim string // owner, shim, helpers (all of foster's but the owner), leader, or member N, counted in the order of their numbers
}

// The options of a case:
//
//	stop=TIME scope=SCOPE until=leader loss=stop|fail lease=TIME grace=TIME   as the flags of foster run
//	trees=N        the owner starts the tree so many times (lib, share)
//	natural=1      the tree ends by itself; else the owner gets SIGTERM after the last harm
//	user=1         the owner is an ordinary user
//	state=full|tiny|ro   the journal's file system has no room, little room, or is read-only
//	files=N procs=N      limits of the owner: descriptors, and processes of its user
//	out=unread|full|closed   standard output is a pipe that nobody reads, /dev/full, closed
//	clock=N        the owner is in a time namespace, N seconds ahead
func (c testCase) option(key string) string {
	for _, o := range c.options {
		if k, v, _ := strings.Cut(o, "="); k == key {
			return v
		}
	}
	return ""
}

func (c testCase) number(key string) int {
	n, _ := strconv.Atoi(c.option(key)) // parseCase has checked it
	return n
}

func (c testCase) String() string {
	harms := make([]string, len(c.harms))
	for i, h := range c.harms {
		harms[i] = strings.TrimSpace(fmt.Sprintf("%d %s %s", h.after.Microseconds(), h.action, h.victim))
	}
	return strings.Join(append([]string{c.containment, c.owner}, c.options...), " ") + "; " + c.program.String() + "; " + strings.Join(harms, ", ")
}

var (
	containments = []string{"group", "subreaper", "cgroup", "pidns"}
	owners       = []string{"run", "init", "lib", "share"}
	optionNames  = []string{"stop", "scope", "until", "loss", "lease", "grace", "trees", "natural", "user", "state", "files", "procs", "out", "clock"}
	actions      = []string{"kill", "pause", "resume", "term", "int", "reuse"}
)

func parseCase(text string) (c testCase, err error) {
	parts := strings.Split(text, ";")
	if len(parts) != 3 {
		return c, fmt.Errorf("%q: want three parts: tree; program; harms", text)
	}
	words := strings.Fields(parts[0])
	if len(words) < 2 || !slices.Contains(containments, words[0]) || !slices.Contains(owners, words[1]) {
		return c, fmt.Errorf("%q: want a containment (%v), an owner (%v), and options", parts[0], containments, owners)
	}
	c.containment, c.owner, c.options = words[0], words[1], words[2:]
	for _, o := range c.options {
		k, v, _ := strings.Cut(o, "=")
		if !slices.Contains(optionNames, k) || v == "" {
			return c, fmt.Errorf("%q: no such option: want NAME=VALUE, of %v", o, optionNames)
		}
	}
	if c.program, err = parseProgram(parts[1]); err != nil {
		return c, err
	}
	for text := range strings.SplitSeq(parts[2], ",") {
		if words = strings.Fields(text); len(words) == 0 {
			continue
		}
		us, err := strconv.Atoi(words[0])
		if err != nil || len(words) < 2 || !slices.Contains(actions, words[1]) {
			return c, fmt.Errorf("%q: want MICROSECONDS ACTION VICTIM, the action one of %v", text, actions)
		}
		c.harms = append(c.harms, harm{time.Duration(us) * time.Microsecond, words[1], strings.Join(words[2:], "")})
	}
	return c, nil
}

// timing is how long the steps of a run take on this machine, by which harm is aimed.
type timing struct{ start, stop time.Duration }

// randomCase makes the case of a seed.
func randomCase(seed uint64, containment string, root bool, took timing) testCase {
	r := rand.New(rand.NewPCG(seed, uint64(slices.Index(containments, containment))))
	chance := func(p float64) bool { return r.Float64() < p }
	c := testCase{containment: containment, owner: "run"}
	set := func(key string, value any) { c.options = append(c.options, fmt.Sprintf("%s=%v", key, value)) }
	pick := func(list ...string) string { return list[r.IntN(len(list))] }

	switch {
	case chance(0.2):
		c.owner = "lib"
	case containment == "cgroup" && chance(0.25):
		c.owner = "share"
	case (containment == "pidns" || containment == "subreaper") && chance(0.2):
		c.owner = "init"
	}
	if (c.owner == "lib" || c.owner == "share") && chance(0.4) {
		set("trees", 2+r.IntN(2))
	}
	set("stop", pick("1ms", "10ms", "30ms", "60ms"))
	natural := chance(0.2)
	if natural {
		set("natural", 1)
	}
	if c.owner != "init" {
		if chance(0.2) {
			set("scope", pick("group", "leader", "leader-first"))
		}
		if chance(0.1) {
			set("until", "leader")
		} else if chance(0.1) {
			set("loss", pick("stop", "fail"))
		}
		if chance(0.05) {
			set("lease", fmt.Sprintf("%dms", 1+r.IntN(60)))
		}
		if chance(0.08) {
			set("grace", fmt.Sprintf("%dms", 1+r.IntN(60)))
		}
	}
	user := root && containment != "cgroup" && c.owner != "init" && chance(0.2)
	if user {
		set("user", 1)
	}
	switch { // few resources, one at a time
	case chance(0.05):
		set("state", pick("full", "tiny", "ro"))
	case chance(0.05):
		set("files", 4+r.IntN(40))
	case user && chance(0.3):
		set("procs", 1+r.IntN(40))
	case chance(0.06):
		set("out", pick("unread", "full", "closed"))
	case root && c.owner != "init" && chance(0.03):
		set("clock", pick("1000", "3600", "86400"))
	}

	m := &maker{Rand: r, left: 1 + r.IntN(9), root: root && !user, finite: natural, group: containment == "group"}
	c.program = m.program(0, true)
	if natural {
		c.natural()
	}

	// Harm within a start, within the life of the tree, or within its stop.
	slower := time.Duration(1 + r.IntN(4)) // as it is beside other cases
	took.start, took.stop = took.start*slower, took.stop*slower
	within := func(d time.Duration) time.Duration { return time.Duration(r.Int64N(int64(d)) + 1) }
	when := func() time.Duration {
		switch r.IntN(4) {
		case 0:
			return within(took.start)
		case 1:
			return within(took.start + took.stop)
		}
		return took.start + within(80*time.Millisecond)
	}
	victim := func() string {
		if chance(0.3) {
			return fmt.Sprintf("member%d", r.IntN(8))
		}
		return pick("owner", "owner", "shim", "shim", "leader", "leader", "helpers")
	}
	for n := []int{0, 1, 1, 2, 2, 3, 4}[r.IntN(7)]; n > 0; n-- {
		h := harm{after: when(), action: pick("kill", "kill", "kill", "pause", "resume"), victim: victim()}
		if len(c.harms) > 0 && chance(0.5) { // in quick succession
			h.after = time.Duration(r.IntN(300)) * time.Microsecond
		}
		c.harms = append(c.harms, h)
		switch {
		case chance(0.2):
			both := []string{"owner", "shim"}
			r.Shuffle(2, func(i, j int) { both[i], both[j] = both[j], both[i] })
			c.harms = append(c.harms, harm{when(), "kill", both[0]}, harm{within(200 * time.Microsecond), "kill", both[1]})
			n = 1
		case !natural && chance(0.2): // the rest is done within the stop
			c.harms = append(c.harms, harm{when(), pick("term", "term", "int"), "owner"})
		case chance(0.1):
			c.harms = append(c.harms, harm{within(took.stop), "reuse", ""})
		}
	}
	return c
}

// natural has a tree that ends by itself end so, whatever the maker has put in.
func (c *testCase) natural() {
	if c.program.allEnd() {
		return
	}
	c.options = slices.DeleteFunc(c.options, func(o string) bool { return o == "natural=1" })
}
