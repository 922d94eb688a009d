package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/units"
	"github.com/foster-init/foster/proc"
)

// chooser says which processes foster ps lists.
type chooser struct {
	all    bool
	uids   []int
	names  []string
	states string // letters
	tree   int    // 0: not by descent
}

func (f *psFlags) chooser() (chooser, error) {
	c := chooser{all: f.all, names: f.names}
	for _, name := range splitAll(f.users) {
		uid, err := units.UserNumber(name)
		if err != nil {
			return c, flagError("user", err)
		}
		c.uids = append(c.uids, uid)
	}
	for _, name := range f.names {
		if err := validPattern(name); err != nil {
			return c, flagError("name", err)
		}
	}
	for _, text := range splitAll(f.states) {
		letters, err := stateLetters(text)
		if err != nil {
			return c, flagError("state", err)
		}
		c.states += letters
	}
	if f.tree != "" {
		pid, ok := pidNumber(f.tree)
		if !ok {
			return c, flagError("tree", fmt.Errorf("%q is not the number of a process", f.tree))
		}
		c.tree = pid
	}
	return c, nil
}

// splitAll takes lists with commas apart. A name may have a comma, and is none.
func splitAll(lists []string) (all []string) {
	for _, l := range lists {
		all = append(all, strings.Split(l, ",")...)
	}
	return all
}

func pidNumber(text string) (int, bool) {
	n, err := strconv.ParseUint(text, 10, 31)
	return int(n), err == nil && n > 0
}

// psStates are the states by the word that stands for them.
var psStates = []struct{ word, letters string }{
	{"running", "R"}, {"sleeping", "S"}, {"disk", "D"}, {"stopped", "T"}, {"traced", "t"},
	{"zombie", "Z"}, {"dead", "X"}, {"idle", "I"}, {"parked", "P"},
}

func stateLetters(text string) (string, error) {
	const letters = "RSDTtZXIPWK"
	var all []string
	for _, s := range psStates {
		if strings.EqualFold(text, s.word) {
			return s.letters, nil
		}
		all = append(all, s.word)
	}
	if text != "" && strings.Trim(text, letters) == "" {
		return text, nil
	}
	return "", fmt.Errorf("%q is no state: want %s, or letters of %s", text, strings.Join(all, ", "), letters)
}

// from chooses from a view. By default it is what this user has to do with; by a
// flag that chooses, what there is.
func (c *chooser) from(v *view) (list []*proc.Process, err error) {
	below, err := c.descent(v)
	if err != nil {
		return nil, err
	}
	chosen := len(c.uids)+len(c.names)+len(c.states) > 0 || c.tree > 0
	own := os.Geteuid()
	for i := range v.Processes {
		p := &v.Processes[i]
		switch {
		case below != nil && !below[p.PID]:
		case below == nil && p.Kernel && !c.all:
		case !c.all && !chosen && own != 0 && p.UID != own:
		case c.matches(p):
			list = append(list, p)
		}
	}
	return list, nil
}

func (c *chooser) matches(p *proc.Process) bool {
	return (len(c.uids) == 0 || p.Knows(proc.Owner) && slices.Contains(c.uids, p.UID)) &&
		(c.states == "" || strings.IndexByte(c.states, byte(p.State)) >= 0) &&
		(len(c.names) == 0 || slices.ContainsFunc(c.names, func(n string) bool { return goesBy(p, n) }))
}

// descent are the processes of the tree that was asked for; nil: of all.
func (c *chooser) descent(v *view) (map[int]bool, error) {
	if c.tree == 0 {
		return nil, nil
	}
	if v.Get(c.tree) == nil {
		return nil, noProcess(v, c.tree)
	}
	below := map[int]bool{c.tree: true}
	for _, p := range v.Descendants(c.tree) {
		below[p.PID] = true
	}
	return below, nil
}

// noProcess says that a process isn't there, or isn't to be seen.
func noProcess(v *view, pid int) error {
	err := fmt.Errorf("there is no process %d: want the number of one that is there", pid)
	if v.Hidden {
		return refusalError{hinted{err, "this user isn't shown all processes (hidepid of /proc)"}}
	}
	return refusalError{hinted{err, "foster ps --all lists all processes"}}
}

// complete adds what a shell may ask for.
func (f *psFlags) complete(cmd *cobra.Command) {
	const list = cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	lists := map[string]func(string) []string{
		"output": func(string) []string { return append([]string{"json", "text"}, columnNames()...) },
		"sort": func(last string) []string {
			names := columnNames()
			if strings.HasPrefix(last, "-") {
				for i := range names {
					names[i] = "-" + names[i]
				}
			}
			return names
		},
		"user": func(string) []string { return usersThere() },
		"name": func(string) []string { return namesThere() },
		"state": func(string) (words []string) {
			for _, s := range psStates {
				words = append(words, s.word)
			}
			return words
		},
	}
	for flag, choices := range lists {
		_ = cmd.RegisterFlagCompletionFunc(flag, func(_ *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
			if flag == "name" {
				return choices(typed), cobra.ShellCompDirectiveNoFileComp
			}
			return completeLast(typed, choices), list
		})
	}
}

// completeLast completes the last of a list with commas.
func completeLast(typed string, choices func(last string) []string) (list []string) {
	at := strings.LastIndexByte(typed, ',') + 1
	for _, c := range choices(typed[at:]) {
		if strings.HasPrefix(c, typed[at:]) && (at == 0 || c != "json" && c != "text") {
			list = append(list, typed[:at]+c)
		}
	}
	return list
}

// usersThere are the users who have processes.
func usersThere() []string {
	return distinct(func(p *proc.Process) string {
		if p.Knows(proc.Owner) {
			return nameOfUser(p.UID)
		}
		return ""
	})
}

// namesThere are the names of processes, but for those that can't be typed.
func namesThere() []string {
	return distinct(func(p *proc.Process) string {
		if p.Kernel || strings.Contains(p.Name, " ") || proc.Printable(p.Name) != p.Name {
			return ""
		}
		return p.Name
	})
}

func distinct(get func(p *proc.Process) string) (list []string) {
	t, err := proc.Take(proc.Owner)
	if err != nil {
		return nil
	}
	for i := range t.Processes {
		if s := get(&t.Processes[i]); s != "" {
			list = append(list, s)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}
