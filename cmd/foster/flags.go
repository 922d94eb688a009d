package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/units"
)

// runFlags are the flags of foster run, as they were typed.
type runFlags struct {
	contain, until, onLeaderLoss       string
	stopSignal, stopTimeout, stopScope string
	env, unsetEnv, envFiles, rlimits   []string
	dir, user, report                  string
	memory, cpus, pids                 string
	quiet                              bool
	terms                              termFlags
}

func (f *runFlags) add(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.SetInterspersed(false)
	fl.SortFlags = false
	fl.StringVar(&f.contain, "contain", "auto", "how the tree is held: auto, group, subreaper, cgroup or pidns")
	fl.StringVar(&f.until, "until", "tree", "what ends the run: tree (its last process) or leader (the command)")
	fl.StringVar(&f.onLeaderLoss, "on-leader-loss", "continue", "the command ended, others live on: continue, stop or fail")
	fl.StringVar(&f.stopSignal, "stop-signal", "TERM", "the first signal of a stop")
	fl.StringVar(&f.stopTimeout, "stop-timeout", "10s", "how long a stop waits before SIGKILL; 0: not at all")
	fl.StringVar(&f.stopScope, "stop-scope", "tree", "whom it is sent to: tree, group, leader or leader-first")
	fl.StringArrayVarP(&f.env, "env", "e", nil, "`KEY=VALUE` for the environment; KEY alone: as foster has it")
	fl.StringArrayVar(&f.unsetEnv, "unset-env", nil, "remove `KEY` from the environment")
	fl.StringArrayVar(&f.envFiles, "env-file", nil, "read such lines from a `file`")
	fl.StringVarP(&f.dir, "dir", "C", "", "working `directory`")
	fl.StringVarP(&f.user, "user", "u", "", "run as `user[:group]`, by name or number")
	fl.StringArrayVar(&f.rlimits, "rlimit", nil, "resource limit, as `nofile=1024:4096`")
	fl.StringVar(&f.memory, "memory", "0", "limit the memory of the whole tree, as `512M`; 0: don't")
	fl.StringVar(&f.cpus, "cpus", "0", "limit its CPU time, in cores, as `1.5`; 0: don't")
	fl.StringVar(&f.pids, "pids", "0", "limit the `number` of its processes and threads; 0: don't")
	fl.StringVar(&f.pids, "pids-limit", "0", "")
	_ = fl.MarkHidden("pids-limit") // docker's name
	f.terms.add(cmd)
	fl.StringVar(&f.report, "report", "", "at the end, tell what happened to whom: text or json")
	fl.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but errors")
	complete := func(name string, values ...string) {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
	}
	complete("contain", "auto", "group", "subreaper", "cgroup", "pidns")
	complete("until", "tree", "leader")
	complete("on-leader-loss", "continue", "stop", "fail")
	complete("stop-scope", "tree", "group", "leader", "leader-first")
	complete("stop-signal", "TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "KILL")
	complete("report", "text", "json")
}

// command makes the command that the flags describe. Nothing is started.
func (f *runFlags) command(args []string) (*foster.Cmd, error) {
	c := foster.Command(args[0], args[1:]...)
	c.Dir = f.dir
	c.Containment = foster.Containment(f.contain)
	c.Until = foster.Until(f.until)
	c.OnLeaderLoss = foster.LossPolicy(f.onLeaderLoss)
	steps := []func(*foster.Cmd) error{f.words, f.folder, f.stopPlan, f.environment, f.credential, f.rlimit, f.limits, f.terms.apply}
	for _, step := range steps {
		if err := step(c); err != nil {
			return nil, usageError{err}
		}
	}
	return c, nil
}

// words checks the flags that take one of a few words.
func (f *runFlags) words(*foster.Cmd) error {
	for _, w := range []struct {
		flag, value string
		allowed     []string
	}{
		{"contain", f.contain, []string{"auto", "group", "subreaper", "cgroup", "pidns"}},
		{"until", f.until, []string{"tree", "leader"}},
		{"on-leader-loss", f.onLeaderLoss, []string{"continue", "stop", "fail"}},
		{"stop-scope", f.stopScope, []string{"tree", "group", "leader", "leader-first"}},
		{"report", f.report, []string{"text", "json", ""}},
	} {
		if !slices.Contains(w.allowed, w.value) {
			words := strings.TrimSuffix(strings.Join(w.allowed, ", "), ", ")
			return flagError(w.flag, fmt.Errorf("%q is none of %s", w.value, words))
		}
	}
	return nil
}

// folder checks that the working directory is there. One that this user may not look at is
// left to the user that the command runs as.
func (f *runFlags) folder(*foster.Cmd) error {
	if f.dir == "" {
		return nil
	}
	switch info, err := os.Stat(f.dir); {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR):
		return flagError("dir", fmt.Errorf("%s: no such directory", f.dir))
	case err == nil && !info.IsDir():
		return flagError("dir", fmt.Errorf("%s: not a directory", f.dir))
	}
	return nil
}

func flagError(name string, err error) error { return fmt.Errorf("--%s: %w", name, err) }

func (f *runFlags) stopPlan(c *foster.Cmd) (err error) {
	c.Stop.Scope = foster.Scope(f.stopScope)
	if c.Stop.Signal, err = units.Signal(f.stopSignal); err != nil {
		return flagError("stop-signal", err)
	}
	if c.Stop.Timeout, err = units.Duration(f.stopTimeout); err != nil {
		return flagError("stop-timeout", err)
	}
	if c.Stop.Timeout == 0 {
		c.Stop.Timeout = -time.Nanosecond // at once; 0 would be the default
	}
	return nil
}

// credential looks up user[:group].
func (f *runFlags) credential(c *foster.Cmd) error {
	if f.user == "" {
		return nil
	}
	name, group, _ := strings.Cut(f.user, ":")
	var err error
	if c.Credential, err = units.Credential(name, group); err != nil {
		return flagError("user", err)
	}
	return nil
}

func (f *runFlags) rlimit(c *foster.Cmd) error {
	for _, r := range f.rlimits {
		resource, soft, hard, err := units.Rlimit(r)
		if err != nil {
			return flagError("rlimit", err)
		}
		c.Rlimits = append(c.Rlimits, foster.Rlimit{Resource: resource, Soft: soft, Hard: hard})
	}
	return nil
}
