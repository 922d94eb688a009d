package config

import (
	"math"
	"strings"

	"syscall"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/units"
)

// limits are those of a cgroup.
func limits() shape[Limits] {
	return mapOf(map[string]string{"mem": "memory", "cpus": "cpu", "tasks": "pids", "processes": "pids"},
		at("memory", size(), func(l *Limits) *int64 { return &l.Memory }, "Bytes of memory, as 512M. A tree that needs more is ended by the kernel."),
		at("cpu", number(0, math.MaxInt32), func(l *Limits) *float64 { return &l.CPU }, "CPU time, in cores: 1.5 is one and a half."),
		at("pids", as(integer(1), func(n int) int64 { return int64(n) }, func(n int64) int { return int(n) }), func(l *Limits) *int64 { return &l.PIDs }, "How many processes and threads it may have."),
		at("optional", boolean(), func(l *Limits) *bool { return &l.Optional }, "Go on, with a warning, where the limits can't be had. By default that is a failed start."),
	)
}

// rlimits are a map from a resource to its limit.
func rlimits() shape[[]foster.Rlimit] {
	return shape[[]foster.Rlimit]{
		&Schema{Type: "object", AdditionalProperties: &Schema{Type: []string{"string", "integer"}}},
		func(d *decoder, at place, into *[]foster.Rlimit) {
			if at.kind != mapping {
				d.wrong(at, `a map from resources to limits, as nofile: "1024:4096"`)
				return
			}
			for _, f := range at.fields {
				below := at.below(f.key.text, f.value)
				if _, _, _, err := units.Rlimit(f.key.text + "=0"); err != nil {
					near := nearest(strings.TrimPrefix(strings.ToLower(f.key.text), "rlimit_"), units.Resources())
					d.problems.add(place{f.key, below.path}, didYouMean(near), "%s", err)
					continue
				}
				value, ok := d.text(below, "a number, soft:hard, or unlimited")
				if !ok {
					continue
				}
				resource, soft, hard, err := units.Rlimit(f.key.text + "=" + value)
				if err != nil {
					d.problems.add(below, "", "%s", err)
					continue
				}
				*into = append(*into, foster.Rlimit{Resource: resource, Soft: soft, Hard: hard})
			}
		},
		func(list []foster.Rlimit) any {
			written := map[string]any{}
			for _, r := range list {
				name, value, _ := strings.Cut(units.FormatRlimit(r.Resource, r.Soft, r.Hard), "=")
				written[name] = value
			}
			return written
		},
	}
}

func lease() shape[foster.Lease] {
	return short("time", []kind{scalar}, mapOf(map[string]string{"ttl": "time", "duration": "time", "limit": "max", "warning": "warn"},
		at("time", positive(), func(l *foster.Lease) *time.Duration { return &l.Time }, "How long a run may last. When it is over, the tree is stopped, and has failed."),
		at("max", positive(), func(l *foster.Lease) *time.Duration { return &l.Max }, "No extension makes it longer than this; by default there is no bound."),
		at("warn", positive(), func(l *foster.Lease) *time.Duration { return &l.Warn }, "How long before its end an event tells of it."),
		at("signal", sig(), func(l *foster.Lease) *syscall.Signal { return &l.Signal }, "Sent to the first process at that moment."),
		at("suspend", boolean(), func(l *foster.Lease) *bool { return &l.Suspend }, "Count the time that the machine is suspended. Linux."),
	))
}

// stopTimeout is a time to wait; none at all is a negative one for package foster.
func stopTimeout() shape[time.Duration] {
	return as(duration(), func(d time.Duration) time.Duration {
		if d == 0 {
			return -time.Nanosecond
		}
		return d
	}, func(d time.Duration) time.Duration { return max(d, 0) })
}

func stop() shape[Stop] {
	return mapOf(map[string]string{"timeout_seconds": "timeout", "grace_period": "timeout", "parent_only": "scope: leader", "kill_timeout": "timeout"},
		at("signal", sig(), func(s *Stop) *syscall.Signal { return &s.Signal }, "The first signal.").or("TERM"),
		at("scope", word(map[string]string{"process": "leader", "mixed": "leader-first", "control-group": "tree", "leader_first": "leader-first"},
			foster.ScopeTree, foster.ScopeGroup, foster.ScopeLeader, foster.ScopeLeaderFirst), func(s *Stop) *foster.Scope { return &s.Scope }, "Whom it is sent to.").or("tree"),
		at("timeout", stopTimeout(), func(s *Stop) *time.Duration { return &s.Timeout }, "How long to wait before SIGKILL; 0: not at all.").or("10s"),
		at("command", commandOf(), func(s *Stop) *[]string { return &s.Command }, "Run before the signal; its end is waited for, within the timeout."),
	)
}

func restart() shape[Restart] {
	return mapOf(map[string]string{
		"max_retries": "max_restarts", "retries": "max_restarts", "max_attempts": "max_restarts", "max": "max_restarts",
		"backoff_seconds": "backoff", "delay": "backoff has the key initial", "exit_codes": "success_exit_codes", "exitcodes": "success_exit_codes", "condition": "policy", "exit_on_end": "an application has the key ends_project",
	},
		at("policy", word(map[string]string{"never": "no", "false": "no", "on-failure": "on_failure", "onfailure": "on_failure", "unless-stopped": "unless_stopped", "true": "always", "yes": "always", "exit_on_failure": "no, and ends_project: on_failure", "unexpected": "on_failure"},
			RestartNo, RestartOnFailure, RestartAlways, RestartUnlessStopped), func(r *Restart) *RestartPolicy { return &r.Policy },
			"Which ends are followed by a new start. always and unless_stopped differ after the supervisor was restarted: what was stopped by hand stays stopped with the latter.").or("on_failure"),
		at("backoff", short("initial", []kind{scalar}, backoff()), func(r *Restart) *Backoff { return &r.Backoff }, "The pause before a restart.").or("{}"),
		at("max_restarts", integer(0), func(r *Restart) *int { return &r.MaxRestarts }, "After so many restarts within the window it has failed; 0: never.").or("0"),
		at("window", duration(), func(r *Restart) *time.Duration { return &r.Window }, "0: since it was started by hand.").or("0"),
		at("success_exit_codes", listOf(exitCode()), func(r *Restart) *[]int { return &r.SuccessCodes }, "Exit codes that are no failure; 0 is always among them."),
	)
}

func exitCode() shape[int] {
	some := integer(0)
	return shape[int]{some.schema, func(d *decoder, at place, into *int) {
		some.read(d, at, into)
		if *into > 255 {
			d.wrong(at, "an exit code, from 0 to 255")
		}
	}, itself[int]}
}

func backoff() shape[Backoff] {
	return mapOf(map[string]string{"base": "initial", "min": "initial", "multiplier": "factor", "cap": "max", "limit": "max"},
		at("initial", duration(), func(b *Backoff) *time.Duration { return &b.Initial }, "The first pause.").or("1s"),
		at("factor", number(1, 1000), func(b *Backoff) *float64 { return &b.Factor }, "How many times longer each further one is.").or("2"),
		at("max", duration(), func(b *Backoff) *time.Duration { return &b.Max }, "The longest pause. After a run that lasted longer than it, pauses begin anew.").or("1m"),
		at("jitter", number(0, 1), func(b *Backoff) *float64 { return &b.Jitter }, "By how much of it a pause is changed at random.").or("0.1"),
	)
}

var conditionNames = map[string]string{
	"service_started": string(Started), "service_healthy": string(Healthy), "service_completed_successfully": string(CompletedSuccessfully),
	"started": string(Started), "healthy": string(Healthy), "ready": string(Healthy), "process_ready": string(Healthy), "completed": string(Completed),
	"completed_successfully": string(CompletedSuccessfully), "log_ready": string(LogReady),
}

func dependency() shape[Dependency] {
	return mapOf(map[string]string{"when": "condition", "on_restart": "restart"},
		at("condition", word(conditionNames, Started, Healthy, Completed, CompletedSuccessfully, LogReady), func(d *Dependency) *Condition { return &d.Condition },
			"What it has to be.").or("process_started"),
		at("restart", boolean(), func(d *Dependency) *bool { return &d.Restart }, "Restart when it is restarted.").or("false"),
	)
}

// dependsOn is a list of names, or a map from them to conditions.
func dependsOn() shape[[]Dependency] {
	one := dependency()
	return shape[[]Dependency]{
		&Schema{AnyOf: []*Schema{{Type: "array", Items: &Schema{Type: "string"}}, {Type: "object", AdditionalProperties: &Schema{AnyOf: []*Schema{one.schema, {Type: "null"}}}}}},
		func(d *decoder, at place, into *[]Dependency) {
			add := func(name string, key, value place) {
				dep := Dependency{App: name}
				if value.kind == null || value.kind == scalar {
					value.node = &node{kind: mapping, file: key.file, line: key.line, column: key.column}
				}
				one.read(d, value, &dep)
				*into = append(*into, dep)
				d.app.dependsAt = append(d.app.dependsAt, key)
			}
			if at.kind == mapping {
				for _, f := range at.fields {
					below := at.below(f.key.text, f.value)
					if f.value.kind == scalar {
						d.wrong(below, "a map with the key condition")
					}
					add(f.key.text, place{f.key, below.path}, below)
				}
				return
			}
			for _, item := range at.each() {
				if name, ok := d.text(item, "the name of an application"); ok {
					add(name, item, item)
				}
			}
		},
		func(list []Dependency) any {
			written := map[string]any{}
			for _, dep := range list {
				written[dep.App] = one.write(dep)
			}
			return written
		},
	}
}

func timetable() shape[Schedule] {
	return mapOf(map[string]string{"timezone": "zone", "time_zone": "zone", "tz": "zone", "expression": "cron", "interval": `cron: "@every 10s"`, "run_on_start": "on_start"},
		at("cron", text(), func(s *Schedule) *string { return &s.Cron }, "Five fields, or six with seconds first, or @daily and the like."),
		at("zone", text(), func(s *Schedule) *string { return &s.Zone }, "A time zone, as Europe/Berlin; by default the local one."),
		at("overlap", word(map[string]string{"forbid": "skip", "allow": "skip", "wait": "queue"}, OverlapSkip, OverlapQueue, OverlapReplace), func(s *Schedule) *Overlap { return &s.Overlap },
			"What happens when it is due while it still runs: nothing, one run at once after it, or the run under way is stopped.").or("skip"),
		at("on_start", boolean(), func(s *Schedule) *bool { return &s.OnStart }, "Also run it with foster up.").or("false"),
	)
}

// globs are paths, absolute.
func globs() shape[[]string] {
	return listOf(shape[string]{&Schema{Type: "string"}, func(d *decoder, at place, into *string) {
		if text, ok := d.text(at, "a glob, as src/**/*.go"); ok {
			*into = d.glob(at, text)
		}
	}, func(s string) any { return escape(s) }})
}

func watchMap() shape[Watch] {
	return mapOf(map[string]string{"path": "paths", "files": "paths", "exclude": "ignore", "delay": "debounce"},
		at("paths", globs(), func(w *Watch) *[]string { return &w.Paths }, "Globs, with ** for any folders between."),
		at("ignore", globs(), func(w *Watch) *[]string { return &w.Ignore }, "Globs of what doesn't count."),
		at("debounce", duration(), func(w *Watch) *time.Duration { return &w.Debounce }, "How long files have to be left alone after a change.").or("500ms"),
		at("signal", sig(), func(w *Watch) *syscall.Signal { return &w.Signal }, "Sent to the first process instead of a restart."),
	)
}

func hooks() shape[Hooks] {
	return mapOf(map[string]string{"prestart": "pre_start", "poststart": "post_start", "prestop": "pre_stop", "poststop": "post_stop", "before_start": "pre_start", "after_start": "post_start", "before_stop": "pre_stop", "after_stop": "post_stop"},
		at("pre_start", commandOf(), func(h *Hooks) *[]string { return &h.PreStart }, "Run before each start; if it fails, so does the start."),
		at("post_start", commandOf(), func(h *Hooks) *[]string { return &h.PostStart }, "Run once it runs."),
		at("pre_stop", commandOf(), func(h *Hooks) *[]string { return &h.PreStop }, "Run before it is stopped."),
		at("post_stop", commandOf(), func(h *Hooks) *[]string { return &h.PostStop }, "Run after its end."),
		at("timeout", positive(), func(h *Hooks) *time.Duration { return &h.Timeout }, "How long each may take.").or("30s"),
	)
}

func logs() shape[Logs] {
	return mapOf(map[string]string{"size": "max_size", "max_bytes": "max_size", "age": "max_age", "files": "max_files", "max_backups": "max_files", "backups": "max_files", "gzip": "compress", "driver": "leave it out: foster keeps logs in files"},
		at("format", word(map[string]string{"text": "plain"}, "plain", "json"), func(l *Logs) *string { return &l.Format }, "Lines with time and stream, or JSON lines.").or("plain"),
		at("max_size", size(), func(l *Logs) *int64 { return &l.MaxSize }, "Of one file; then a new one is begun.").or("10M"),
		at("max_age", duration(), func(l *Logs) *time.Duration { return &l.MaxAge }, "Older files are removed; 0: however old.").or("0"),
		at("max_files", integer(0), func(l *Logs) *int { return &l.MaxFiles }, "Besides the current one.").or("5"),
		at("compress", boolean(), func(l *Logs) *bool { return &l.Compress }, "Compress files that are complete (gzip).").or("false"),
		at("on_full", word(nil, "drop", "block"), func(l *Logs) *string { return &l.OnFull }, "When the disk is full: lines are dropped and counted, or the application waits.").or("drop"),
		at("disabled", boolean(), func(l *Logs) *bool { return &l.Disabled }, "Keep nothing: the output goes to /dev/null.").or("false"),
	)
}

func socket() shape[Socket] {
	return mapOf(map[string]string{"listen": "address", "port": `address: "127.0.0.1:8080"`, "path": `address: "unix:/path"`},
		at("name", text(), func(s *Socket) *string { return &s.Name }, "What LISTEN_FDNAMES calls it."),
		at("address", text(), func(s *Socket) *string { return &s.Address }, "host:port, udp:host:port, or unix:/path."),
		at("mode", octal(), func(s *Socket) *int { return &s.Mode }, `Of a unix socket's file, in octal: "0600".`),
	)
}
