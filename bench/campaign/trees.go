//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func init() { modes["trees"] = trees }

// campaign is a run of many cases.
type campaign struct {
	options
	cgroup string   // below which cases have theirs; "": there can be none
	slots  chan int // one for each case that may run
	timing map[string]timing
}

// outcome is a case that was run.
type outcome struct {
	Seed        uint64 `json:"seed,omitempty"`
	Containment string `json:"containment"`
	Case        string `json:"case"`
	verdict
	Smallest string `json:"smallest,omitempty"` // the smallest case that fails like this one
	Again    string `json:"again,omitempty"`    // how often it failed of how many runs
}

// trees runs random trees.
func trees(o options) (failed bool, err error) {
	c := &campaign{options: o, slots: make(chan int, o.parallel), timing: map[string]timing{}}
	for i := range o.parallel {
		c.slots <- i
	}
	if c.cgroup, err = ownCgroup(); err != nil && (o.contain == "cgroup" || strings.HasPrefix(o.one, "cgroup")) {
		return false, err
	}
	if o.one != "" {
		return c.repeatOne()
	}
	list := containments
	if o.contain != "all" {
		if list = strings.Split(o.contain, ","); slices.ContainsFunc(list, func(name string) bool { return !slices.Contains(containments, name) }) {
			return false, fmt.Errorf("--containment: %q: want all, or some of %v", o.contain, containments)
		}
	} else if c.cgroup == "" {
		fmt.Fprintln(o.stderr, "campaign: no cgroup can be had here: cgroup is left out")
		list = []string{"group", "subreaper", "pidns"}
	}
	for _, name := range list {
		if err := c.measure(name); err != nil {
			return false, err
		}
	}
	fmt.Fprintf(o.stderr, "campaign: seeds %d to %d in %s\n", o.seed, o.seed+uint64(o.cases)-1, strings.Join(list, ", "))
	outcomes := c.runAll(list)
	shown := 0
	for i := range outcomes {
		if len(outcomes[i].Failures) > 0 && shown < 5 {
			shown++
			c.minimise(&outcomes[i])
		}
	}
	return c.summary(list, outcomes), nil
}

// measure learns how long a start takes, by which harm is aimed.
func (c *campaign) measure(containment string) error {
	var took []time.Duration
	for range 3 {
		one, _ := parseCase(containment + " run natural=1; x; ") // it is right
		v := c.runCase(one)
		if len(v.Failures) > 0 {
			return fmt.Errorf("a tree of one process fails in %s: %s\n%s", containment, strings.Join(v.Failures, "; "), v.Said)
		}
		took = append(took, v.Took)
	}
	d := slices.Min(took)
	c.timing[containment] = timing{start: d, stop: d}
	return nil
}

// runAll runs random cases, interleaved, and prints those that fail.
func (c *campaign) runAll(list []string) (outcomes []outcome) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	began := time.Now()
	for i := range c.cases {
		for _, name := range list {
			slot := <-c.slots // before the case is made: no more than these are under way
			c.slots <- slot
			if c.limit > 0 && time.Since(began) > c.limit {
				wg.Wait()
				return outcomes
			}
			seed := c.seed + uint64(i)
			one := randomCase(seed, name, os.Geteuid() == 0, c.timing[name])
			turn := <-c.slots
			wg.Go(func() {
				out := outcome{Seed: seed, Containment: name, Case: one.String(), verdict: c.runIn(turn, one)}
				mu.Lock()
				defer mu.Unlock()
				outcomes = append(outcomes, out)
				if c.verbose || len(out.Failures) > 0 {
					c.print(out)
				}
			})
		}
	}
	wg.Wait()
	return outcomes
}

func (c *campaign) print(out outcome) {
	word := "ok"
	if len(out.Failures) > 0 {
		word = "FAILED"
	}
	fmt.Fprintf(c.stderr, "%s seed %d in %s (%s, %v): --case '%s'\n", word, out.Seed, out.Containment, out.Row, out.Took.Round(time.Millisecond), out.Case)
	for _, f := range out.Failures {
		fmt.Fprintln(c.stderr, "\t"+f)
	}
	if len(out.Failures) > 0 && out.Said != "" {
		fmt.Fprintln(c.stderr, "\tsaid: "+strings.ReplaceAll(out.Said, "\n", "\n\t      "))
	}
}

// runCase runs a case when one may run.
func (c *campaign) runCase(one testCase) verdict { return c.runIn(<-c.slots, one) }

// patience is how long a case has to come to its end when the last harm is done.
const patience = 15 * time.Second

func (c *campaign) runIn(slot int, one testCase) (v verdict) {
	defer func() { c.slots <- slot }()
	set := setting{Dir: c.dir, UID: 100_000 + slot, Text: one.String(), Limit: patience}
	if one.containment == "cgroup" {
		set.Cgroup = filepath.Join(c.cgroup, fmt.Sprintf("campaign-%d-%d", os.Getpid(), slot))
		if err := os.Mkdir(set.Cgroup, 0o755); err != nil {
			v.Failures = append(v.Failures, err.Error())
			return v
		}
		defer removeCgroup(set.Cgroup)
	}
	text, _ := json.Marshal(set) // it can't fail
	output, err := runIsolated(4*patience, "case", string(text))
	if err == nil {
		err = json.Unmarshal(output, &v)
	}
	if err != nil {
		v.Failures = append(v.Failures, "the case wasn't judged: "+err.Error())
	}
	return v
}

// repeatOne runs the case of --case again and again.
func (c *campaign) repeatOne() (failed bool, err error) {
	one, err := parseCase(c.one)
	if err != nil {
		return false, err
	}
	out := outcome{Containment: one.containment, Case: one.String()}
	n := 0
	for _, v := range c.times(one, c.repeat) {
		out.verdict = v
		if len(v.Failures) > 0 || c.verbose {
			c.print(out)
		}
		if len(v.Failures) > 0 {
			n++
		}
	}
	fmt.Fprintf(c.stdout, "%d of %d failed\n", n, c.repeat)
	return n > 0, nil
}

// times runs a case n times, some at once.
func (c *campaign) times(one testCase, n int) []verdict {
	list := make([]verdict, n)
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { list[i] = c.runCase(one) })
	}
	wg.Wait()
	return list
}

// kind is what fails, without the numbers.
func kind(v verdict) string {
	if len(v.Failures) == 0 {
		return ""
	}
	return strings.Join(strings.Fields(v.Failures[0])[:2], " ")
}

// minimise looks for the smallest case that fails in the same way.
func (c *campaign) minimise(out *outcome) {
	one, err := parseCase(out.Case)
	if err != nil {
		return
	}
	want := kind(out.verdict)
	fails := func(one testCase, n int) (failed int) {
		for _, v := range c.times(one, n) {
			if kind(v) == want {
				failed++
			}
		}
		return failed
	}
	const first = 20
	n := fails(one, first)
	out.Again = fmt.Sprintf("%d of %d", n, first)
	if n == 0 {
		return
	}
	tries := min(3*first/n, 40)
	end := time.Now().Add(time.Minute)
	for smaller := true; smaller; {
		smaller = false
		for _, candidate := range one.smaller() {
			if time.Now().After(end) {
				break
			}
			if fails(candidate, tries) > 0 {
				one, smaller = candidate, true
				break
			}
		}
	}
	out.Smallest = one.String()
	fmt.Fprintf(c.stderr, "seed %d in %s failed again %s times; the smallest case: --case '%s'\n", out.Seed, out.Containment, out.Again, out.Smallest)
}

// smaller are the cases that have one thing less.
func (c testCase) smaller() (list []testCase) {
	for i := range c.harms {
		one := c
		one.harms = slices.Delete(slices.Clone(c.harms), i, i+1)
		if i < len(one.harms) { // what follows happens when it did
			one.harms[i].after += c.harms[i].after
		}
		list = append(list, one)
	}
	for i := range c.options {
		one := c
		one.options = slices.Delete(slices.Clone(c.options), i, i+1)
		list = append(list, one)
	}
	for _, p := range c.program.smaller() {
		one := c
		one.program = p
		list = append(list, one)
	}
	if c.owner != "run" {
		one := c
		one.owner = "run"
		list = append(list, one)
	}
	return list
}

func (p program) smaller() (list []program) {
	for i, s := range p {
		list = append(list, slices.Delete(slices.Clone(p), i, i+1))
		replace := func(s step) {
			q := slices.Clone(p)
			q[i] = s
			list = append(list, q)
		}
		if s.n > 1 && strings.IndexByte("cyYdl", s.name) >= 0 {
			replace(step{name: s.name, n: s.n / 2})
		}
		for _, child := range s.child.smaller() {
			replace(step{s.name, s.n, child})
		}
	}
	return list
}

// summary prints what was run; it says whether anything failed.
func (c *campaign) summary(list []string, outcomes []outcome) (failed bool) {
	type line struct {
		Containment string         `json:"containment"`
		Cases       int            `json:"cases"`
		Failed      int            `json:"failed"`
		Processes   int            `json:"processes"`
		Recovered   int            `json:"recovered"`
		Escaped     int            `json:"escaped"`
		Unproven    int            `json:"unproven"`
		Unseen      int            `json:"unseen"`
		Rows        map[string]int `json:"rows"`
	}
	var lines []line
	var bad []outcome
	for _, name := range list {
		l := line{Containment: name, Rows: map[string]int{}}
		for _, out := range outcomes {
			if out.Containment != name {
				continue
			}
			l.Cases++
			l.Processes += out.Processes
			l.Escaped += out.Escaped
			l.Unproven += out.Unproven
			l.Unseen += out.Unseen
			l.Rows[out.Row]++
			if out.Recovered {
				l.Recovered++
			}
			if len(out.Failures) > 0 {
				l.Failed++
				bad = append(bad, out)
			}
		}
		lines = append(lines, l)
	}
	if c.output == "json" {
		encoder := json.NewEncoder(c.stdout)
		encoder.SetIndent("", "  ")
		_ = encoder.Encode(map[string]any{"seed": c.seed, "summary": lines, "failed": bad}) // nobody reads it: as well
		return len(bad) > 0
	}
	table := tabwriter.NewWriter(c.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CONTAINMENT\tCASES\tFAILED\tPROCESSES\tRECOVERED\tESCAPED\tUNPROVEN\tUNSEEN\tHELD TO")
	for _, l := range lines {
		var rows []string
		for _, row := range slices.SortedFunc(maps.Keys(l.Rows), func(a, b string) int { return cmp.Compare(l.Rows[b], l.Rows[a]) }) {
			rows = append(rows, fmt.Sprintf("%s %d", row, l.Rows[row]))
		}
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n", l.Containment, l.Cases, l.Failed, l.Processes, l.Recovered, l.Escaped, l.Unproven, l.Unseen, strings.Join(rows, ", "))
	}
	_ = table.Flush() // as above
	return len(bad) > 0
}

// ownCgroup finds the folder of this process's cgroup in version 2, and tries whether there can
// be one below it.
func ownCgroup() (string, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", err
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	var path, root string
	for line := range strings.Lines(string(own)) {
		if rest, ok := strings.CutPrefix(line, "0::"); ok {
			path = strings.TrimSpace(rest)
		}
	}
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); strings.Contains(line, " - cgroup2 ") {
			root = fields[4]
		}
	}
	if path == "" || root == "" {
		return "", errors.New("there is no cgroup of version 2")
	}
	folder := filepath.Join(root, path)
	try := filepath.Join(folder, fmt.Sprintf("campaign-%d", os.Getpid()))
	if err := os.Mkdir(try, 0o755); err != nil {
		return "", err
	}
	return folder, os.Remove(try)
}

// removeCgroup removes a case's, whose processes are ending.
func removeCgroup(path string) {
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		below, _ := filepath.Glob(filepath.Join(path, "*", "cgroup.procs")) // the pattern is valid
		for _, b := range below {
			_ = os.Remove(filepath.Dir(b)) // it's tried again
		}
		if err := os.Remove(path); err == nil || errors.Is(err, os.ErrNotExist) {
			return
		}
	}
}
