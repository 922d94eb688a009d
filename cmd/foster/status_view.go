package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/foster-init/foster/client"
)

// The table of foster status.

// statusGrid shows each instance in a line.
func statusGrid(apps []client.App, now time.Time) grid {
	g := grid{
		heads: []string{"APP", "STATE", "PID", "UPTIME", "RESTARTS", "READY", "MEMBERS", "CPU", "MEMORY", "LAST EXIT", "NOTE"},
		right: make([]bool, 11),
	}
	for _, column := range []int{2, 3, 4, 6, 7, 8} {
		g.right[column] = true
	}
	for _, a := range apps {
		for _, i := range a.Instances {
			g.rows = append(g.rows, instanceRow(instanceName(a, i), i, now))
		}
		if len(a.Instances) == 0 {
			g.rows = append(g.rows, cellsOf(printable(a.Name), "no replicas", "-", "-", "-", "-", "-", "-", "-", "-", ""))
		}
	}
	return g
}

func cellsOf(texts ...string) []piece {
	row := make([]piece, len(texts))
	for i, t := range texts {
		row[i].text = t
	}
	return row
}

// instanceName is that of the application, with a number where there are several.
func instanceName(a client.App, i client.Instance) string {
	if a.Replicas == 1 && i.Replica == 1 {
		return a.Name
	}
	return a.Name + "." + strconv.Itoa(i.Replica)
}

func instanceRow(name string, i client.Instance, now time.Time) []piece {
	row := cellsOf(printable(name), stateWords(i, now), "-", "-", strconv.Itoa(i.Restarts), "-", "-", "-", "-", exitWords(i, now), printable(note(i)))
	row[0].colour = bold
	row[1].colour = stateColour(i.State)
	row[10].colour = faint
	if !lives(i.State) {
		return row
	}
	if i.PID > 0 && i.State != client.LeaderLost {
		row[2].text = strconv.Itoa(i.PID)
	}
	if !i.Started.IsZero() {
		row[3].text = short(now.Sub(i.Started))
	}
	row[5] = piece{"no", yellow}
	if i.Ready {
		row[5] = piece{"yes", plain}
	}
	if i.Members > 0 {
		row[6].text, row[7].text, row[8].text = strconv.Itoa(i.Members), short(i.CPU), sized(uint64(max(0, i.Memory)))
	}
	return row
}

// lives says whether an instance in a state has a tree.
func lives(s client.State) bool {
	switch s {
	case client.Running, client.LeaderLost, client.Stopping, client.Stuck:
		return true
	}
	return false
}

func stateWords(i client.Instance, now time.Time) string {
	left := func(words string) string {
		if i.Due.IsZero() {
			return words
		}
		return words + " in " + short(max(0, i.Due.Sub(now)))
	}
	switch i.State {
	case client.LeaderLost:
		return "leader lost"
	case client.Backoff:
		return left("restart")
	case client.Scheduled:
		return left("next")
	}
	return printable(string(i.State))
}

func stateColour(s client.State) colour {
	switch s {
	case client.Running:
		return green
	case client.Failed, client.Stuck:
		return red
	case client.Stopped, client.Completed:
		return faint
	case client.Scheduled:
		return plain
	}
	return yellow
}

// exitWords is how the last run ended: its code or its signal, and when; or that it
// couldn't begin, of which the note says all.
func exitWords(i client.Instance, now time.Time) string {
	e := i.Exit
	switch {
	case i.NotStarted != "":
		return "not started: " + printable(cut(i.NotStarted, 30))
	case e == nil:
		return "-"
	case e.Code != nil:
		return fmt.Sprintf("%d, %s ago", *e.Code, short(now.Sub(e.Ended)))
	case e.Signal != "":
		return fmt.Sprintf("%s, %s ago", e.Signal, short(now.Sub(e.Ended)))
	case e.Ended.IsZero():
		return "?" // nobody saw when
	}
	return fmt.Sprintf("?, %s ago", short(now.Sub(e.Ended)))
}

// note is what else a person wants to know of an instance.
func note(i client.Instance) string {
	text := cmp.Or(shimNote(i), stateNote(i))
	if l := i.LostLines; l != nil {
		lost := l.Time.Local().Format(time.TimeOnly) + " " + l.Text
		if text == "" {
			return lost
		}
		text += "; " + lost
	}
	return text
}

// stateNote is what a person wants to know of an instance in its state.
func stateNote(i client.Instance) string {
	switch i.State {
	case client.Running:
		return cmp.Or(i.Health, i.Text)
	case client.Stuck:
		if len(i.Survivors) == 0 {
			return i.Cause // somebody else has a tree of its name, or it can't be had
		}
		return "can't be ended: " + strings.Join(i.Survivors, ", ")
	case client.Completed:
		if i.Active {
			return "active until it is stopped"
		}
	case client.LeaderLost, client.Waiting, client.Backoff, client.Failed:
		return i.Cause
	}
	return ""
}
