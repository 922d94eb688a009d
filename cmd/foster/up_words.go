package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
)

// What foster up, update and their like say of what they do, and of what went wrong.

// writeChanges says what an update has done, or would do.
func writeChanges(w io.Writer, form string, changes []client.Change, dryRun bool) error {
	if form == "json" {
		if changes == nil {
			changes = []client.Change{}
		}
		return writeJSON(w, changes)
	}
	if len(changes) == 0 {
		_, err := fmt.Fprintln(w, "nothing differs")
		return err
	}
	for _, c := range changes {
		if _, err := fmt.Fprintln(w, printable(changeWords(c, dryRun))); err != nil {
			return err
		}
	}
	return nil
}

// changeWords is one change: what is done, or, with would, what would be.
func changeWords(c client.Change, would bool) string {
	verbs := map[string][2]string{
		"start": {"started", "would be started"}, "stop": {"stopped, and forgotten", "would be stopped, and forgotten"},
		"restart": {"restarted", "would be restarted"}, "add": {"added, and not started", "would be added, and not started"},
		"scale":     {"scaled", "would be scaled"},
		"take-over": {"taken over", "would be taken over"},
		"change":    {"changed, without a restart", "would be changed, without a restart"},
	}
	verb, ok := verbs[c.Action]
	if !ok {
		verb = [2]string{c.Action, c.Action}
	}
	who := c.App
	if who == "" {
		who = "the project"
	}
	text := who + ": " + verb[0]
	if would {
		text = who + ": " + verb[1]
	}
	if c.Action == "scale" {
		text += fmt.Sprintf(" from %d to %d", c.From, c.To)
	}
	if len(c.Keys) > 0 {
		keys := make([]string, len(c.Keys))
		for i, k := range c.Keys {
			keys[i] = keyOf(k)
		}
		text += ": another " + strings.Join(keys, ", ")
	}
	return text
}

// keyOf is a field of an application as foster.yaml names it.
func keyOf(field string) string {
	if key, ok := map[string]string{
		"Dir": "working_dir", "Env": "environment", "DependsOn": "depends_on", "OnLeaderLoss": "on_leader_loss",
		"Groups": "supplementary_groups", "EndsProject": "ends_project", "StartTimeout": "start_timeout", "RemainAfterExit": "remain_after_exit", "Readiness": "readiness_probe", "Liveness": "liveness_probe",
		"Grace": "grace, for what is started from now on",
	}[field]; ok {
		return key
	}
	return strings.ToLower(field)
}

// failedError is what a supervisor couldn't do, or has refused, as a command tells it.
func failedError(err error) error {
	failed, ok := errors.AsType[*client.FailedError](err)
	switch {
	case !ok && errors.Is(err, client.ErrUnknown):
		if u, ok := errors.AsType[unknownApp](err); ok {
			return refusalError{u.told()}
		}
		return refusalError{hinted{err, "foster status lists the applications"}}
	case !ok && errors.Is(err, client.ErrNotRunning):
		return refusalError{err}
	case !ok:
		if r, refused := errors.AsType[*client.RequestError](err); refused {
			if wrong := mistaken(r); wrong != nil {
				return wrong
			}
			if r.Hint != "" {
				return refusalError{hinted{r, r.Hint}}
			}
			return refusalError{r}
		}
		return err
	}
	for _, f := range failed.Failures {
		if len(f.Survivors) > 0 {
			return survivedError{failed}
		}
	}
	if hint := failed.Failures[0].Hint; hint != "" {
		return refusalError{hinted{failed, hint}}
	}
	return refusalError{hinted{failed, "foster logs " + failed.Failures[0].App + " shows what it has said"}}
}

// survivedError names who couldn't be ended: exit status 123.
type survivedError struct{ *client.FailedError }

func (s survivedError) Error() string {
	texts := make([]string, len(s.Failures))
	for i, f := range s.Failures {
		texts[i] = cmp.Or(f.Name, f.App) + ": " + f.Text
		if len(f.Survivors) > 0 {
			texts[i] += ": " + strings.Join(f.Survivors, ", ")
		}
	}
	return strings.Join(texts, "; ")
}

// smallest is a smallest foster.yaml, for who has none.
const smallest = `a smallest foster.yaml:
  apps:
    web:
      command: ./server --port 8080`

// configError adds what can be done where there is no configuration.
func configError(err error) error {
	if errors.Is(err, config.ErrNotFound) {
		if other, none := importable(); none == nil {
			return usageError{hinted{err, "foster import -o foster.yaml makes one of " + other[0]}}
		}
		return usageError{hinted{err, smallest}}
	}
	if refused, ok := errors.AsType[*config.DistrustError](err); ok {
		return usageError{hinted{err, refused.Hint}}
	}
	return err
}
