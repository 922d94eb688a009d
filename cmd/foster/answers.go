package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/units"
)

// What the commands that act print with -o json. The exit status is the same as without,
// and what is wrong is told on standard error as well. Nothing is printed where the command
// line is wrong.

// acted is what most of them print; its keys are kept.
type acted struct {
	Failures []client.Failure `json:"failures"` // of single instances
	Error    string           `json:"error,omitempty"`
}

// condition is how an instance is; its keys are kept.
type condition struct {
	App     string       `json:"app"`
	Replica int          `json:"replica"`
	State   client.State `json:"state"`
	Ready   bool         `json:"ready"` // it is as it should be, for now
	Cause   string       `json:"cause,omitempty"`
}

// answers gives a command --output, with acted as its answer.
func answers(cmd *cobra.Command, stdout io.Writer) {
	var form string
	outputFlag(cmd, &form)
	act := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := validOutput(form); err != nil {
			return err
		}
		return reply(stdout, form, act(cmd, args), func(a acted) any { return a })
	}
}

// reply prints as JSON what has become of a request, where that was asked for, and hands
// its error on.
func reply(stdout io.Writer, form string, err error, value func(acted) any) error {
	if form != "json" || err != nil && complain(io.Discard, err) == exitUsage {
		return err
	}
	a := acted{Failures: []client.Failure{}}
	failed, ok := errors.AsType[*client.FailedError](err)
	if survived, is := errors.AsType[survivedError](err); is {
		failed, ok = survived.FailedError, true
	}
	_, silent := errors.AsType[statusError](err)
	switch {
	case ok:
		a.Failures = failed.Failures
	case err != nil && !silent:
		a.Error = units.ErrorText(err)
	}
	if werr := writeJSON(stdout, value(a)); err == nil {
		return werr
	}
	return err
}

// conditions tells of the instances of applications. One that is stopped is as it should
// be unless it was asked for by name.
func conditions(apps []client.App, named bool) []condition {
	list := []condition{}
	for _, a := range apps {
		for _, i := range a.Instances {
			list = append(list, condition{a.Name, i.Replica, i.State, settled(i, named), i.Cause})
		}
	}
	return list
}
