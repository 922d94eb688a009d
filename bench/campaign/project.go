//go:build linux

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/foster-init/foster/internal/contain"
)

// The project campaign kills foster up, which keeps 20 applications running, again and again.
// In the end it holds what foster has kept (the history, the events, the logs) against what
// the applications have noted themselves.

func init() {
	modes["project"] = projectCampaign
	roles[firstRole] = beFirst
	roles[driveRole] = driveProject
	roles[applicationRole] = func(args []string) int { return projectStatus(runApplication(args[0])) }
	roles[memberRole] = func(args []string) int { return projectStatus(runMember(args[0])) }
}

// The roles of the project campaign.
const (
	firstRole       = "project-first"       // process 1 of the namespace
	driveRole       = "project-drive"       // the campaign itself
	applicationRole = "project-application" // the leader of an application's run
	memberRole      = "project-member"      // another process of it
)

func projectStatus(err error) int {
	if err == nil {
		return 0
	}
	fmt.Fprintln(os.Stderr, "campaign:", err)
	return 1
}

// projectCase is one project, from its first foster up to foster down.
type projectCase struct {
	Seed        uint64        `json:"seed"`
	Kills       int           `json:"kills"`
	Limit       time.Duration `json:"limit"` // no further kill after it
	Containment string        `json:"containment"`
	Foster      string        `json:"foster"`
	Folder      string        `json:"folder"` // of all that it writes
	Sandbox     string        `json:"sandbox"`
}

// projectCampaign runs one project after the other, each with its seed.
func projectCampaign(o options) (failed bool, err error) {
	if o.one != "" {
		return false, errors.New("--case is for trees; a project is run again by --seed")
	}
	containment := o.contain
	if containment == "all" {
		containment = "auto"
	}
	var tallies []*tally
	for began, n := time.Now(), 0; n < o.cases; n++ {
		c := projectCase{
			Seed: o.seed + uint64(n), Kills: o.kills, Limit: longestProject, Containment: containment,
			Foster: filepath.Join(o.dir, "foster"), Sandbox: filepath.Join(o.dir, "case"),
		}
		if o.limit > 0 {
			if c.Limit = o.limit - time.Since(began); c.Limit < 0 {
				break
			}
		}
		t, err := c.run()
		if err != nil {
			return true, fmt.Errorf("seed %d: %w", c.Seed, err)
		}
		tallies = append(tallies, t)
		if len(t.Faults) > 0 {
			failed = true
			fmt.Fprintf(o.stderr, "seed %d: %d faults; its files are in %s\n", t.Seed, len(t.Faults), c.Folder)
			for _, text := range t.Faults {
				fmt.Fprintf(o.stderr, "  %s\n", text)
			}
		}
	}
	return failed, printTallies(o, tallies)
}

// longestProject is how long a project is killed at most, where no time is given.
const longestProject = time.Hour

func printTallies(o options, tallies []*tally) error {
	if o.output == "json" {
		e := json.NewEncoder(o.stdout)
		e.SetIndent("", "  ")
		return e.Encode(tallies)
	}
	w := tabwriter.NewWriter(o.stdout, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "SEED\tTIME\tKILLS\tRUNS\tADOPTED\tUNKNOWN ENDS\tEVENTS\tLINES\tFAULTS\t")
	for _, t := range tallies {
		fmt.Fprintf(w, "%d\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", t.Seed, t.Took.Round(time.Second), t.Kills, t.Runs, t.Adopted, t.Unknown, t.Events, t.Lines, len(t.Faults))
	}
	return w.Flush()
}

// run runs the case in a PID namespace and a cgroup of its own. Its folder is left if
// something was found.
func (c *projectCase) run() (*tally, error) {
	var err error
	if c.Folder, err = os.MkdirTemp("", "campaign-project-"); err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	group := projectCgroup(c.Folder)
	if group != "" {
		defer removeCgroups(group)
	}
	out, err := runIsolated(c.Limit+5*answerTime, firstRole, group, c.Sandbox, string(text))
	if err != nil {
		return nil, fmt.Errorf("%w; its files are in %s", err, c.Folder)
	}
	var t tally
	if err := json.Unmarshal(out, &t); err != nil {
		return nil, err
	}
	if len(t.Faults) > 0 {
		return &t, nil
	}
	return &t, os.RemoveAll(c.Folder)
}

// projectCgroup makes a cgroup in which a project is to run, so that foster's are below it;
// "" where there can be none.
func projectCgroup(folder string) string {
	own, err := contain.OwnCgroup()
	if err != nil {
		return ""
	}
	group := filepath.Join(own, filepath.Base(folder))
	if err := os.Mkdir(group, 0o755); err != nil {
		return ""
	}
	return group
}

// removeCgroups removes a cgroup whose processes have ended, with those below it.
func removeCgroups(group string) {
	var folders []string
	_ = filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			folders = append(folders, path)
		}
		return err
	})
	for _, path := range slices.Backward(folders) {
		for end := time.Now().Add(5 * time.Second); os.Remove(path) != nil && time.Now().Before(end); {
			time.Sleep(10 * time.Millisecond) // its last process is just leaving it
		}
	}
}

// beFirst is process 1 of the namespace: it starts the campaign, and reaps all. Its arguments
// are the cgroup for both, an empty folder, and the case.
func beFirst(args []string) int {
	group, sandbox, text := args[0], args[1], args[2]
	if group != "" {
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0o600); err != nil {
			return projectStatus(err)
		}
	}
	if err := enterSandbox(sandbox); err != nil {
		return projectStatus(err)
	}
	c := newChildren()
	attr := &syscall.ProcAttr{Files: []uintptr{0, 1, 2}, Env: os.Environ()}
	pid, err := c.start("/proc/self/exe", []string{os.Args[0], driveRole, text}, attr)
	if err != nil {
		return projectStatus(err)
	}
	c.wait(pid, time.Now().Add(24*time.Hour)) // it is killed before
	status, ended := c.status(pid)
	if !ended || !status.Exited() {
		return projectStatus(fmt.Errorf("the campaign has ended with %#x", status))
	}
	return status.ExitStatus()
}

// driveProject is the campaign itself.
func driveProject(args []string) int {
	var c projectCase
	if err := json.Unmarshal([]byte(args[0]), &c); err != nil {
		return projectStatus(err)
	}
	t, err := runDrive(c)
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(t)
	}
	return projectStatus(err)
}
