package config

import (
	"sync"
	"time"

	"github.com/foster-init/foster"
)

// app is an application while it is read: what depends on other keys of it waits until
// all are read.
type app struct {
	App
	at          place // its name
	all         place // its keys, with those that it extends
	command     place
	shell       string
	dir         place
	environment place
	envFiles    place
	commands    []laterCommand
	dependsAt   []place
}

// laterCommand is a command whose text is parsed when the shell is known.
type laterCommand struct {
	at    place
	where *[]string
}

// otherNames are what other programs call our keys.
var otherNames = map[string]string{
	"cmd": "command", "entrypoint": "command", "exec": "command", "program": "command", "script": "command", "run": "command",
	"args": "command takes the arguments, too", "arguments": "command takes the arguments, too",
	"dir": "working_dir", "cwd": "working_dir", "directory": "working_dir", "workdir": "working_dir", "workingdir": "working_dir", "working_directory": "working_dir",
	"env": "environment", "envs": "environment", "env_vars": "environment", "env_cmds": "environment",
	"env_files": "env_file", "envfile": "env_file", "dotenv": "env_file", "environment_file": "env_file",
	"shutdown": "stop", "stop_signal": "stop has the key signal", "stopsignal": "stop has the key signal",
	"stop_timeout": "stop has the key timeout", "stop_grace_period": "stop has the key timeout", "stopwaitsecs": "stop has the key timeout", "kill_timeout": "stop has the key timeout",
	"availability": "restart", "autorestart": "restart", "restart_policy": "restart",
	"max_retries": "restart has the key max_restarts", "max_restarts": "restart has the key max_restarts", "startretries": "restart has the key max_restarts",
	"backoff": "restart has the key backoff", "backoff_seconds": "restart has the key backoff", "restart_delay": "restart has the key backoff",
	"success_exit_codes": "restart has the key success_exit_codes", "exitcodes": "restart has the key success_exit_codes",
	"depends": "depends_on", "dependencies": "depends_on", "needs": "depends_on", "requires": "depends_on", "after": "depends_on",
	"healthcheck": "readiness_probe, or liveness_probe", "health_check": "readiness_probe, or liveness_probe", "readiness": "readiness_probe", "liveness": "liveness_probe",
	"instances": "replicas", "numprocs": "replicas", "scale": "replicas", "processes": "replicas",
	"cron": "schedule", "cron_restart": "schedule", "watch_files": "watch",
	"ulimits": "rlimits", "ulimit": "rlimits", "resources": "limits", "mem_limit": "limits has the key memory", "cpus": "limits has the key cpu", "pids_limit": "limits has the key pids",
	"exit_on_end": "ends_project: on_exit", "abort_on_exit": "ends_project", "exit_on_failure": "ends_project: on_failure", "is_daemon": "forking", "daemon": "forking", "start_timeout_seconds": "start_timeout", "startup_timeout": "start_timeout", "launch_timeout": "start_timeout", "timeout": "start_timeout, or stop has the key timeout", "stdin_open": "stdin: open", "standard_input": "stdin", "is_tty": "terminal", "tty": "terminal", "disabled": "autostart: false", "autostart_": "autostart",
	"log": "logs", "logging": "logs", "log_location": "logs", "log_configuration": "logs", "ready_log_line": "readiness_probe has the key log_line",
	"contain": "containment", "on_loss": "on_leader_loss", "socket": "sockets", "listen": "sockets", "hook": "hooks", "uid": "user", "gid": "group", "groups": "supplementary_groups", "group_add": "supplementary_groups", "extra_groups": "supplementary_groups",
	"ports": "sockets, for those that foster opens; else leave it out", "image": "foster runs commands, not images",
}

// commandSchema is a command: a text, or a list of texts.
func commandSchema() *Schema {
	return &Schema{AnyOf: []*Schema{{Type: "string"}, {Type: "array", Items: textSchema()}}}
}

// writeCommand writes a command as a list.
func writeCommand(argv []string) any {
	if len(argv) == 0 {
		return nil
	}
	var list []string
	for _, word := range argv {
		list = append(list, escape(word))
	}
	return list
}

// commandOf is a command beside the application's own.
func commandOf() shape[[]string] {
	return shape[[]string]{commandSchema(), func(d *decoder, at place, into *[]string) {
		d.app.commands = append(d.app.commands, laterCommand{at, into})
	}, writeCommand}
}

func environmentSchema() *Schema {
	return &Schema{AnyOf: []*Schema{
		{Type: "object", AdditionalProperties: &Schema{Type: []string{"string", "number", "boolean", "null"}}},
		{Type: "array", Items: &Schema{Type: "string"}},
	}}
}

func filesSchema() *Schema {
	return &Schema{AnyOf: []*Schema{{Type: "string"}, {Type: "array", Items: &Schema{Type: "string"}}}}
}

// shellShape is true, or the path of a shell.
func shellShape() shape[string] {
	return shape[string]{&Schema{AnyOf: []*Schema{{Type: "boolean"}, {Type: "string"}}}, func(d *decoder, at place, into *string) {
		text, ok := d.text(at, "true, or the path of a shell")
		switch {
		case !ok || text == "false":
		case text == "true":
			*into = "/bin/sh"
		default:
			*into = text
		}
	}, func(string) any { return nil }} // it is part of the commands
}

// appShape is one application.
var appShape = sync.OnceValue(func() shape[app] {
	return mapOf(otherNames,
		at("extends", raw(extendsSchema), func(a *app) *place { return new(place) },
			"Another application from which all keys are taken that aren't here; or one of another file."),
		at("description", text(), func(a *app) *string { return &a.Description },
			"What it is, for people."),
		at("command", raw(commandSchema()), func(a *app) *place { return &a.command },
			"What is executed: a list, or a text that is parsed as a shell does. Nothing but variables is expanded."),
		at("shell", shellShape(), func(a *app) *string { return &a.shell },
			"Have a shell run the command, and the other commands of the application that are texts: true is /bin/sh."),
		at("working_dir", raw(textSchema()), func(a *app) *place { return &a.dir },
			"The folder in which it runs; by default that of the file."),
		at("environment", raw(environmentSchema()), func(a *app) *place { return &a.environment },
			"Variables beside those that it inherits: a map, or a list of NAME=value."),
		at("env_file", raw(filesSchema()), func(a *app) *place { return &a.envFiles },
			"Files of NAME=value lines for its environment."),
		at("port", port(), func(a *app) *int { return &a.Port },
			"The variable PORT of its first replica; each further one has one more."),
		at("user", userName(), func(a *app) *string { return &a.User },
			"The user it runs as, by name or number. It takes root."),
		at("group", text(), func(a *app) *string { return &a.Group },
			"The group it runs as; by default the user's. The supplementary groups that the user is in stay."),
		at("supplementary_groups", listOf(text()), func(a *app) *[]string { return &a.Groups },
			"Supplementary groups, by name or number, beside those that the user is in."),
		at("umask", optional(octal()), func(a *app) **int { return &a.Umask },
			`The umask it runs with, in octal: "022".`),
		at("rlimits", rlimits(), func(a *app) *[]foster.Rlimit { return &a.Rlimits },
			"Resource limits of its processes, as setrlimit(2) has them."),
		at("limits", limits(), func(a *app) *Limits { return &a.Limits },
			"Limits of the whole tree, by its cgroup."),
		at("containment", word(nil, foster.Auto, foster.Group, foster.Subreaper, foster.Cgroup, foster.PIDNS), func(a *app) *foster.Containment { return &a.Containment },
			"How the tree is held together.").or("auto"),
		at("until", word(nil, foster.UntilTree, foster.UntilLeader), func(a *app) *foster.Until { return &a.Until },
			"What ends a run: the end of the whole tree, or that of its first process.").or("tree"),
		at("on_leader_loss", word(nil, LossContinue, LossStop, LossRestart, LossFail), func(a *app) *LossPolicy { return &a.OnLeaderLoss },
			"What to do when the first process has ended while others of its tree live.").or("continue"),
		at("lease", lease(), func(a *app) *foster.Lease { return &a.Lease },
			"How long a run may last."),
		at("watchdog", positive(), func(a *app) *time.Duration { return &a.Watchdog },
			"It is stopped, and has failed, when it doesn't call its watchdog (WATCHDOG=1 by sd_notify) for so long."),
		at("notify", boolean(), func(a *app) *bool { return &a.Notify },
			"It is ready when it says so, by READY=1 of sd_notify."),
		at("forking", boolean(), func(a *app) *bool { return &a.Forking },
			"It is ready when its first process has exited with status 0 and others of its tree live on, as a daemon does that goes into the background. If the first process fails, so has the start."),
		at("start_timeout", positive(), func(a *app) *time.Duration { return &a.StartTimeout },
			"How long it may take until it is ready. Then its start has failed: it is stopped, and restarted as its policy says."),
		at("ends_project", absent(EndsNever, word(map[string]string{"never": "no", "false": "no", "true": "on_exit", "yes": "on_exit", "always": "on_exit", "on-exit": "on_exit", "exit": "on_exit", "on-failure": "on_failure", "failure": "on_failure"},
			EndsNever, EndsOnExit, EndsOnFailure)), func(a *app) *EndsProject { return &a.EndsProject },
			"Whether the project ends with it: all others are stopped in their order, and foster up exits with its status. on_exit is any end that no restart follows, on_failure only a failure.").or("no"),
		at("remain_after_exit", boolean(), func(a *app) *bool { return &a.RemainAfterExit },
			"When it has completed, it counts as active until it is stopped: its stop command and the hook post_stop run then."),
		at("stdin", absent(StdinEmpty, word(map[string]string{"null": "empty", "none": "empty", "closed": "empty", "inherit": "open", "pipe": "open", "true": "open", "false": "empty"}, StdinEmpty, StdinOpen)), func(a *app) *Stdin { return &a.Stdin },
			"Its standard input: empty is /dev/null, which ends at once; open never ends, and nothing comes. In a Procfile it is open.").or("empty"),
		at("terminal", boolean(), func(a *app) *bool { return &a.Terminal },
			"It has a terminal, for foster attach."),
		at("autostart", boolean(), func(a *app) *bool { return &a.Autostart },
			"Whether foster up starts it; else only foster start does.").or("true"),
		at("replicas", replicas(), func(a *app) *int { return &a.Replicas },
			"How many of it run at once.").or("1"),
		at("stop", stop(), func(a *app) *Stop { return &a.Stop },
			"How it is stopped.").or("{}"),
		at("restart", short("policy", []kind{scalar}, restart()), func(a *app) *Restart { return &a.Restart },
			"When it is started again: a policy, or a map.").or("{}"),
		at("depends_on", dependsOn(), func(a *app) *[]Dependency { return &a.DependsOn },
			"The applications that it waits for: a list, or a map with what they have to be."),
		at("readiness_probe", optional(probe()), func(a *app) **Probe { return &a.Readiness },
			"How foster finds out whether it is ready."),
		at("liveness_probe", optional(probe()), func(a *app) **Probe { return &a.Liveness },
			"How foster finds out whether it still works. Where it doesn't, it is restarted."),
		at("schedule", optional(short("cron", []kind{scalar}, timetable())), func(a *app) **Schedule { return &a.Schedule },
			"When it is started: a cron expression, or a map."),
		at("watch", optional(short("paths", []kind{scalar, list}, watchMap())), func(a *app) **Watch { return &a.Watch },
			"Files whose change restarts it: globs, or a map."),
		at("hooks", hooks(), func(a *app) *Hooks { return &a.Hooks },
			"Commands around a run.").or("{}"),
		at("logs", logs(), func(a *app) *Logs { return &a.Logs },
			"What is kept of its output; by default as in the logs of the project.").or("{}"),
		at("sockets", listOf(socket()), func(a *app) *[]Socket { return &a.Sockets },
			"Listening sockets that foster opens and hands over, as systemd does (LISTEN_FDS)."),
	)
})

var extendsSchema = &Schema{AnyOf: []*Schema{
	{Type: "string"},
	{Type: "object", AdditionalProperties: false, Required: []string{"app"}, Properties: map[string]*Schema{
		"file": {Type: "string", Description: "The file in which it is; by default this one."},
		"app":  {Type: "string", Description: "The application from which the keys are taken."},
	}},
}}
