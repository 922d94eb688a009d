package importer

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/foster-init/foster/internal/schedule"
	"github.com/foster-init/foster/internal/units"
)

// ofProcess are variables that process-compose gives a process.
var ofProcess = map[string]string{"PC_PROC_NAME": "FOSTER_APP", "PC_REPLICA_NUM": "FOSTER_REPLICA"}

// read reads one process.
func (c *project) read(n *node) error {
	a := c.process
	if err := c.command(n); err != nil {
		return err
	}
	a.below("restart").set("policy", "no") // process-compose's default
	if dir := c.folder(c.dir); dir != "." {
		a.set("working_dir", dir)
	}
	err := c.each(n, reading{
		"command": nil, "entrypoint": nil, "vars": nil, "disable_ansi_colors": nil, "log_location": func(n *node) error {
			a.remark(n.remark("foster keeps the output in its state folder: foster logs %s", a.name))
			return nil
		},
		"log_configuration": func(n *node) error {
			c.rotation(n, a.below("logs"), a.remark)
			return nil
		},
		"description": c.texts("description"),
		"working_dir": func(n *node) error {
			a.set("working_dir", c.folderOf(n))
			return nil
		},
		"environment": func(n *node) error {
			env, err := c.environment(n)
			if err == nil {
				a.set("environment", env)
			}
			return err
		},
		"disabled": func(n *node) error {
			if truth(n.text) {
				a.set("autostart", false)
			}
			return nil
		},
		"is_daemon": func(n *node) error {
			if truth(n.text) {
				a.set("forking", true)
			}
			return nil
		},
		"is_tty": func(n *node) error {
			if truth(n.text) {
				a.set("terminal", true)
			}
			return nil
		},
		"is_foreground": func(n *node) error {
			if truth(n.text) {
				a.set("autostart", false)
				a.set("terminal", true, n.remark("foster start %s, and foster attach %s, bring it to the foreground", a.name, a.name))
			}
			return nil
		},
		"is_elevated": func(n *node) error {
			if truth(n.text) {
				a.remark(n.remark("foster doesn't raise privileges: run foster up as root, and give the others a user"))
			}
			return nil
		},
		"replicas": func(n *node) error {
			value, err := c.number(n, 0, 10_000)
			if err == nil && value > 1 {
				a.set("replicas", value)
			}
			return err
		},
		"namespace": func(n *node) error {
			if n.text != "default" {
				a.remark(n.remark("foster has no namespaces: its commands take several names"))
			}
			return nil
		},
		"availability":           c.availability,
		"depends_on":             c.dependsOn,
		"shutdown":               c.shutdown,
		"readiness_probe":        func(n *node) error { return c.probe(n, "readiness_probe") },
		"liveness_probe":         func(n *node) error { return c.probe(n, "liveness_probe") },
		"ready_log_line":         c.readyLine,
		"schedule":               c.schedule,
		"watch":                  c.watch,
		"launch_timeout_seconds": say(a.remark, "foster waits as long as the command takes to leave its daemon"),
		"is_interactive":         c.flag("terminal"),
	}, a.remark)
	if err != nil {
		return err
	}
	c.ownVariables(n)
	return nil
}

// texts sets a key to a text.
func (c *project) texts(key string) func(*node) error {
	return func(n *node) error {
		c.process.set(key, unmarked(c.text(n)))
		return nil
	}
}

func (c *project) flag(key string) func(*node) error {
	return func(n *node) error {
		if truth(n.text) {
			c.process.set(key, true)
		}
		return nil
	}
}

// command reads what is executed. A text is run by a shell.
func (c *project) command(n *node) error {
	text, words := n.get("command"), n.get("entrypoint")
	switch {
	case text != nil && strings.TrimSpace(text.text) != "":
		if c.shell[1] != "-c" {
			c.process.set("command", c.shellCommand(text))
			return nil
		}
		c.process.set("command", unmarked(c.text(text)))
		c.process.set("shell", c.shell[0])
	case words != nil && words.kind == yaml.SequenceNode && len(words.items) > 0 && words.items[0].text != "":
		c.process.set("command", c.list(words))
	default:
		return n.wrong("expected the key command, or entrypoint: what is executed")
	}
	return nil
}

// ownVariables gives a process the variables by which it knows itself, where it asks for
// them.
func (c *project) ownVariables(n *node) {
	var all strings.Builder
	for _, key := range []string{"command", "entrypoint", "environment"} {
		if v := n.get(key); v != nil {
			all.WriteString(v.text)
			for _, item := range v.items {
				all.WriteString(item.text)
			}
		}
	}
	for _, name := range []string{"PC_PROC_NAME", "PC_REPLICA_NUM"} {
		if !strings.Contains(all.String(), name) || strings.Contains(all.String(), "{{.PC_") {
			continue
		}
		c.process.below("environment").set(name, expression("${"+ofProcess[name]+"}"))
		if name == "PC_REPLICA_NUM" {
			f := c.process.field("environment")
			f.remarks = append(f.remarks, n.at.remark(name, "replicas are counted from 1 here, and from 0 by process-compose"))
		}
	}
}

// availability reads when it is started again.
func (c *project) availability(n *node) error {
	restart := c.process.below("restart")
	pause, policy := 1, "no"
	err := c.each(n, reading{
		"restart": func(n *node) error {
			policy = n.text
			switch policy {
			case "no", "on_failure", "always", "unless_stopped":
			case "exit_on_failure":
				policy = "no"
				if c.process.get("ends_project") == nil {
					c.process.set("ends_project", "on_failure")
				}
			default:
				return n.wrong("%q is none of no, on_failure, always, exit_on_failure", clip(policy))
			}
			restart.set("policy", policy)
			return nil
		},
		"backoff_seconds": func(n *node) (err error) {
			pause, err = c.number(n, 0, longestSeconds)
			return err
		},
		"max_restarts": func(n *node) error {
			value, err := c.number(n, 0, 1<<30)
			if err == nil && value > 0 {
				restart.set("max_restarts", value)
			}
			return err
		},
		"exit_on_end": func(n *node) error {
			if truth(n.text) {
				c.process.set("ends_project", "on_exit")
			}
			return nil
		},
		"exit_on_skipped": func(n *node) error {
			if truth(n.text) && c.process.get("ends_project") == nil {
				c.process.remark(n.remark("ends_project: on_failure ends the project, also where it isn't started since what it waits for has failed"))
			}
			return nil
		},
	}, c.process.remark)
	if err != nil {
		return err
	}
	if policy == "always" && c.process.get("ends_project") != nil && restart.get("max_restarts") == nil {
		c.process.unset("ends_project")
		c.process.remark(n.remark("it never ends, since it is always restarted: nothing ends with it"))
	}
	if policy == "no" {
		restart.unset("max_restarts")
		return nil
	}
	backoff := restart.below("backoff")
	backoff.set("initial", fmt.Sprintf("%ds", max(pause, 1)))
	backoff.set("factor", 1)
	if pause > 60 {
		backoff.set("max", fmt.Sprintf("%ds", pause))
	}
	backoff.set("jitter", 0)
	return nil
}

// dependsOn reads what it waits for.
func (c *project) dependsOn(n *node) error {
	for _, f := range n.fields {
		on, ok := c.apps[f.key]
		if !ok {
			return f.value.wrong("there is no process %s", f.key)
		}
		condition := started
		if v := f.value.get("condition"); v != nil {
			condition = v.text
		}
		switch condition {
		case started, healthy, completed, anyOutcome, logReady:
		default:
			return f.value.wrong("%q is no condition of process-compose", clip(condition))
		}
		c.process.depend(on.name, condition)
	}
	return nil
}

// shutdown reads how it is stopped.
func (c *project) shutdown(n *node) error {
	stop := c.process.below("stop")
	return c.each(n, reading{
		"signal": func(n *node) error {
			sig, err := units.Signal(n.text)
			if err != nil {
				return n.wrong("%v", err)
			}
			stop.set("signal", signalName(sig))
			return nil
		},
		"timeout_seconds": func(n *node) error {
			value, err := c.number(n, 0, longestSeconds)
			if err == nil && value > 0 {
				stop.set("timeout", fmt.Sprintf("%ds", value))
			}
			return err
		},
		"parent_only": func(n *node) error {
			if truth(n.text) {
				stop.set("scope", "leader", n.remark("foster ends the others after the timeout"))
			}
			return nil
		},
		"command": func(n *node) error {
			if strings.TrimSpace(n.text) != "" {
				stop.set("command", c.shellCommand(n), n.remark("foster sends the signal, too, when this has ended"))
			}
			return nil
		},
	}, c.process.remark)
}

// readyLine reads by which line of output it is ready.
func (c *project) readyLine(n *node) error {
	if n.text == "" {
		return nil
	}
	probe := &object{}
	probe.set("log_line", regexp.QuoteMeta(n.text))
	if c.process.get("readiness_probe") != nil {
		c.process.remark(n.remark("foster takes one way to find out whether it is ready: it is left out"))
		return nil
	}
	c.process.set("readiness_probe", probe)
	return nil
}

// schedule reads when it is started.
func (c *project) schedule(n *node) error {
	entry := &object{}
	cron, zone := scalarOf(n.get("cron")), scalarOf(n.get("timezone"))
	if every := n.get("interval"); every != nil && cron == "" {
		cron = "@every " + every.text
	}
	if cron == "" {
		return nil
	}
	if _, err := schedule.Parse(cron, zone); err != nil {
		return n.wrong("%v", err)
	}
	entry.set("cron", cron)
	if zone != "" {
		entry.set("zone", zone)
	}
	if v := n.get("run_on_start"); v != nil && truth(v.text) {
		entry.set("on_start", true)
	}
	if v := n.get("max_concurrent"); v != nil && v.text != "1" && v.text != "0" {
		c.process.remark(v.remark("foster runs one at a time"))
	}
	c.process.set("schedule", entry)
	return nil
}

// watch reads which files restart it.
func (c *project) watch(n *node) error {
	watch := &object{}
	var paths, ignore list
	for _, p := range scalarItems(n.get("paths")) {
		root := scalarOf(p.get("path"))
		if p.kind == yaml.ScalarNode {
			root = p.text
		}
		if root == "" {
			continue
		}
		if !filepath.IsAbs(root) {
			root = c.folder(filepath.Join(c.dir, root))
		}
		for _, pattern := range append(scalarItems(p.get("include")), nil) {
			switch {
			case pattern != nil && strings.Contains(pattern.text, "/"):
				paths = append(paths, root+"/"+pattern.text)
			case pattern != nil:
				paths = append(paths, root+"/**/"+pattern.text)
			case p.get("include") == nil:
				paths = append(paths, root+"/**")
			}
		}
		for _, pattern := range scalarItems(p.get("exclude")) {
			ignore = append(ignore, root+"/**/"+pattern.text)
		}
	}
	if len(paths) == 0 {
		return nil
	}
	watch.set("paths", paths)
	if len(ignore) > 0 {
		watch.set("ignore", ignore)
	}
	if v := n.get("debounce"); v != nil {
		if d, err := units.Duration(v.text); err != nil || d > longestSeconds {
			c.process.remark(v.remark("it is no time that foster knows"))
		} else {
			watch.set("debounce", v.text)
		}
	}
	if v := n.get("cascade"); v != nil && truth(v.text) {
		c.process.remark(v.remark("depends_on: {%s: {restart: true}} restarts those that depend on it", c.process.name))
	}
	c.process.set("watch", watch)
	return nil
}

func scalarItems(n *node) []*node {
	if n == nil {
		return nil
	}
	if n.kind == yaml.ScalarNode {
		return []*node{n}
	}
	return n.items
}
