package importer

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/foster-init/foster/internal/units"
)

// environment reads Environment= and EnvironmentFile=.
func (s *service) environment() error {
	env := &object{}
	for _, set := range s.unit.all("Service", "Environment") {
		words, err := unquote(set.value)
		if err != nil {
			return set.at.wrong("Environment: %v", err)
		}
		var told []Remark
		for _, w := range words {
			name, value, ok := strings.Cut(s.specifiers(s.unit, set, w, &told), "=")
			if !ok || name == "" || strings.ContainsAny(name, " \t\x00") {
				return set.at.wrong("Environment: %q is not NAME=value", clip(w))
			}
			s.vars[name] = value
			env.set(name, unmarked(value))
		}
		for _, r := range told {
			s.app.remark(r)
		}
	}
	files, missing := list{}, []Remark{}
	for _, set := range s.unit.all("Service", "EnvironmentFile") {
		s.fromFiles = true
		path := strings.TrimPrefix(s.text(set), "-")
		if strings.Contains(path, mark) {
			s.about(set, "its path depends on the user: put it in by hand, as env_file")
			continue
		}
		if why := s.environmentFile(path); why != "" {
			missing = append(missing, set.remark("%s: env_file: %s is left out", why, path))
			continue
		}
		files = append(files, path)
	}
	if len(files) > 0 {
		s.app.set("env_file", files)
	}
	for _, r := range missing {
		s.app.remark(r)
	}
	if set := s.unit.get("Service", "PassEnvironment"); set != nil {
		s.fromFiles = true // it is inherited, as all is
	}
	s.app.set("environment", env)
	// What a file sets has the last word in systemd, and the first in foster.
	if len(files) > 0 && len(env.fields) > 0 {
		f := s.app.field("environment")
		f.remarks = append(f.remarks, s.unit.get("Service", "EnvironmentFile").remark("for systemd, the file has the last word; for foster, these have"))
	}
	return nil
}

// environmentFile says why a file can't be taken as it is; "" where it can. systemd and
// foster read simple lines alike.
func (s *service) environmentFile(path string) string {
	in, err := s.open(path, false)
	if err != nil {
		return "it isn't there"
	}
	for n, line := range in.lines {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, ok := strings.Cut(line, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t'\"") || !simpleValue(value) {
			return fmt.Sprintf("foster reads line %d of it in another way than systemd", n+1)
		}
	}
	return ""
}

// simpleValue says whether a value means the same to all who read such files.
func simpleValue(value string) bool {
	value = strings.TrimSpace(value)
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		value = value[1 : len(value)-1]
	} else if strings.Contains(value, "#") {
		return false
	}
	return !strings.ContainsAny(value, "\"'\\$`")
}

// program reads what is executed, and when it is ready.
func (s *service) program() error {
	s.kind = "simple"
	if set := s.unit.get("Service", "Type"); set != nil {
		s.kind = set.value
		switch s.kind {
		case "simple", "exec", "oneshot", "notify":
		case "notify-reload":
			s.about(set, "foster only takes it for Type=notify")
		case "idle":
			s.about(set, "foster starts it at once")
		case "forking":
			s.about(set, "foster holds the daemon, whoever its parent is; but better let the program stay in the foreground: then its own end tells whether it has failed")
		case "dbus":
			s.about(set, "foster doesn't know D-Bus: it is ready as soon as it runs")
		default:
			return set.at.wrong("Type: %q is none of systemd's types", clip(s.kind))
		}
	}
	if set := s.unit.get("Unit", "Description"); set != nil {
		s.app.set("description", unmarked(s.text(set)))
	}
	commands, err := s.executions("ExecStart")
	if err != nil {
		return err
	}
	if len(commands) == 0 {
		return &Error{File: s.unit.path, Text: "it has no ExecStart="}
	}
	argv, remarks := s.one(commands)
	if len(commands) == 1 && commands[0].lenient {
		remarks = append(remarks, commands[0].set.remark("a failure of it is a failure for foster: success_exit_codes says which exit codes aren't"))
	}
	s.app.set("command", argv, remarks...)
	if s.kind == "notify" || s.kind == "notify-reload" {
		s.app.set("notify", true)
	}
	if s.kind == "forking" {
		s.app.set("forking", true)
	} else {
		s.app.set("until", "leader") // systemd ends the others when the main process has ended
	}
	if set := s.unit.get("Service", "WatchdogSec"); set != nil {
		s.time(set, &s.app.object, "watchdog")
	}
	if set := s.unit.get("Service", "RuntimeMaxSec"); set != nil {
		s.time(set, &s.app.object, "lease")
	}
	if set := s.unit.get("Service", "RemainAfterExit"); set != nil && truth(set.value) {
		s.app.set("remain_after_exit", true, set.remark(""))
	}
	return s.hooks()
}

// hooks reads the commands around a run.
func (s *service) hooks() error {
	hooks := s.app.below("hooks")
	for _, h := range []struct{ key, name string }{{"ExecStartPre", "pre_start"}, {"ExecStartPost", "post_start"}, {"ExecStopPost", "post_stop"}} {
		commands, err := s.executions(h.key)
		if err != nil {
			return err
		}
		if argv, remarks := s.one(commands); argv != nil {
			hooks.set(h.name, argv, remarks...)
		}
	}
	limit := s.unit.get("Service", "TimeoutStartSec")
	if limit == nil {
		limit = s.unit.get("Service", "TimeoutSec")
	}
	s.startTimeout(limit)
	switch {
	case len(hooks.fields) > 0 && limit != nil:
		s.time(limit, hooks, "timeout")
	case len(hooks.fields) > 0:
		hooks.set("timeout", "90s")
	}
	for _, set := range s.unit.all("Service", "ExecReload") {
		x := &execution{set: set, words: strings.Fields(set.value)}
		switch sig, ok := x.kill(); {
		case ok && strings.TrimPrefix(sig, "SIG") == "HUP":
			s.about(set, "foster reload %s does it", s.app.name)
		case ok:
			s.about(set, "foster signal --scope leader %s %s does it", s.app.name, sig)
		default:
			s.about(set, "foster reload sends SIGHUP to the first process, and runs no command")
		}
	}
	return nil
}

// startTimeout reads how long a start may take: until it is ready, or, for a one-shot, has
// ended. systemd's own bound is 90 seconds, and none for a one-shot.
func (s *service) startTimeout(limit *setting) {
	switch s.kind {
	case "notify", "notify-reload", "forking":
		if limit != nil {
			s.time(limit, &s.app.object, "start_timeout")
		} else {
			s.app.set("start_timeout", "90s")
		}
	case "oneshot":
		if limit != nil {
			s.time(limit, &s.app.object, "lease")
		}
	}
}

// parseTime reads a time of systemd; forever is "infinity".
func parseTime(text string) (d time.Duration, forever bool, err error) {
	if text == "infinity" {
		return 0, true, nil
	}
	d, err = units.Duration(text)
	if err == nil && d > longestSeconds*time.Second {
		return 0, true, nil
	}
	return d, false, err
}

// time sets a time that has to be more than nothing.
func (s *service) time(set *setting, where *object, key string) {
	d, forever, err := parseTime(s.text(set))
	switch {
	case err != nil:
		s.about(set, "%v", err)
	case forever, d == 0: // no bound, as without the key
	default:
		where.set(key, units.FormatDuration(d))
	}
}

// place reads where it runs, and as whom.
func (s *service) place() error {
	dir := any("/")
	if s.unit.ofUser() {
		dir = expression("${HOME}")
	}
	if set := s.unit.get("Service", "WorkingDirectory"); set != nil {
		path := strings.TrimPrefix(s.text(set), "-")
		switch {
		case path == "~" && s.unit.ofUser():
		case path == "~":
			s.about(set, "put the home of the user in by hand")
		default:
			dir = unmarked(path)
		}
	}
	s.app.set("working_dir", dir)
	for _, key := range []string{"User", "Group"} {
		if set := s.unit.get("Service", key); set != nil {
			s.app.set(strings.ToLower(key), unmarked(s.text(set)))
		}
	}
	var groups list
	for _, set := range s.unit.all("Service", "SupplementaryGroups") {
		for _, name := range strings.Fields(s.text(set)) {
			groups = append(groups, unmarked(name))
		}
	}
	if len(groups) > 0 {
		s.app.set("supplementary_groups", groups)
	}
	if set := s.unit.get("Service", "UMask"); set != nil {
		if !validOctal(set.value) {
			return set.at.wrong("UMask: %q is no octal number", clip(set.value))
		}
		s.app.set("umask", set.value)
	}
	return nil
}

// limitNames are the resources of Limit…=, as foster calls them.
var limitNames = map[string]string{
	"LimitAS": "as", "LimitCORE": "core", "LimitCPU": "cpu", "LimitDATA": "data", "LimitFSIZE": "fsize", "LimitLOCKS": "locks",
	"LimitMEMLOCK": "memlock", "LimitMSGQUEUE": "msgqueue", "LimitNICE": "nice", "LimitNOFILE": "nofile", "LimitNPROC": "nproc",
	"LimitRSS": "rss", "LimitRTPRIO": "rtprio", "LimitRTTIME": "rttime", "LimitSIGPENDING": "sigpending", "LimitSTACK": "stack",
}

// limits reads the limits of its processes, and those of its cgroup.
func (s *service) limits() error {
	rlimits := s.app.below("rlimits")
	for _, key := range slices.Sorted(maps.Keys(limitNames)) {
		set := s.unit.get("Service", key)
		if set == nil {
			continue
		}
		value := bytesOf(set.value)
		if _, _, _, err := units.Rlimit(limitNames[key] + "=" + value); err != nil {
			s.about(set, "%v", err)
			continue
		}
		rlimits.set(limitNames[key], value)
	}
	limits := s.app.below("limits")
	if set := s.unit.get("Service", "MemoryMax"); set != nil && set.value != "infinity" {
		if n, err := units.Size(set.value); err != nil || n == 0 {
			s.about(set, "foster takes a number of bytes, as 512M")
		} else {
			limits.set("memory", set.value)
		}
	}
	if set := s.unit.get("Service", "CPUQuota"); set != nil {
		percent, err := strconv.ParseFloat(strings.TrimSuffix(set.value, "%"), 64)
		if err != nil || !(percent > 0 && percent < 1e9) {
			return set.at.wrong("CPUQuota: expected a percentage, as 150%%: got %q", clip(set.value))
		}
		limits.set("cpu", percent/100)
	}
	if set := s.unit.get("Service", "TasksMax"); set != nil && set.value != "infinity" {
		if n, err := strconv.Atoi(set.value); err != nil || n < 1 {
			s.about(set, "foster takes a number of processes and threads")
		} else {
			limits.set("pids", n)
		}
	}
	return nil
}

// bytesOf writes soft:hard limits, which may have units, as plain numbers.
func bytesOf(text string) string {
	parts := strings.Split(text, ":")
	for i, p := range parts {
		if n, err := units.Size(p); err == nil && p != "" && strings.ContainsRune("KMGT", rune(p[len(p)-1])) {
			parts[i] = strconv.FormatInt(n, 10)
		}
		if p == "infinity" {
			parts[i] = "unlimited"
		}
	}
	return strings.Join(parts, ":")
}

// output reads what becomes of its output.
func (s *service) output() error {
	none := 0
	for _, key := range []string{"StandardOutput", "StandardError"} {
		set := s.unit.get("Service", key)
		if set == nil {
			continue
		}
		switch kind, _, _ := strings.Cut(set.value, ":"); kind {
		case "journal", "inherit", "syslog", "kmsg", "journal+console":
		case "null":
			none++
		default:
			s.about(set, "foster keeps the output in its state folder, both streams in one log: foster logs %s", s.app.name)
		}
	}
	set := s.unit.get("Service", "StandardOutput")
	switch inherits := s.unit.get("Service", "StandardError") == nil; {
	case none == 2, none == 1 && set != nil && set.value == "null" && inherits:
		s.app.below("logs").set("disabled", true)
	case none == 1:
		s.about(set, "foster keeps both streams, or none")
	}
	if set := s.unit.get("Service", "StandardInput"); set != nil {
		switch set.value {
		case "null":
		case "tty", "tty-force", "tty-fail":
			s.app.set("terminal", true, set.remark("foster gives it a terminal of its own: foster attach %s", filepath.Base(s.app.name)))
		default:
			s.about(set, "foster gives it no standard input")
		}
	}
	return nil
}
