package importer

import (
	"math"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/units"
)

// stop reads how it is stopped.
func (s *service) stop() error {
	stop := s.app.below("stop")
	scope := "tree"
	if set := s.unit.get("Service", "KillMode"); set != nil {
		switch set.value {
		case "control-group":
		case "mixed":
			scope = "leader-first"
			s.about(set, "once the first process has ended, the others get the signal; systemd ends them by SIGKILL at once")
		case "process":
			scope = "leader"
			s.about(set, "foster leaves nothing: the others are ended after the timeout")
		case "none":
			s.about(set, "foster leaves nothing: all are stopped")
		default:
			return set.at.wrong("KillMode: %q is none of control-group, mixed, process, none", clip(set.value))
		}
	}
	signal := ""
	if set := s.unit.get("Service", "KillSignal"); set != nil {
		sig, err := units.Signal(s.text(set))
		if err != nil {
			return set.at.wrong("KillSignal: %v", err)
		}
		signal = signalName(sig)
	}
	commands, err := s.executions("ExecStop")
	if err != nil {
		return err
	}
	if len(commands) == 1 {
		if name, ok := commands[0].kill(); ok {
			if sig, err := units.Signal(name); err == nil {
				signal, scope, commands = signalName(sig), "leader-first", nil
			}
		}
	}
	if argv, remarks := s.one(commands); argv != nil {
		if s.app.get("remain_after_exit") == nil {
			remarks = append(remarks, commands[0].set.remark("foster doesn't run it when it has ended by itself: hooks: {post_stop: …} is run then, too"))
		}
		stop.set("command", argv, remarks...)
	}
	if signal != "" {
		stop.set("signal", signal)
	}
	if scope != "tree" {
		stop.set("scope", scope)
	}
	return s.stopTimeout(stop)
}

// signalName is a signal as foster.yaml has it: TERM, RTMIN+1; 32 has no name.
func signalName(sig syscall.Signal) string {
	return strings.TrimPrefix(strings.TrimPrefix(units.SignalName(sig), "SIG"), "signal ")
}

// stopTimeout reads how long a stop may take. What is endless for systemd is a day here.
func (s *service) stopTimeout(stop *object) error {
	stop.set("timeout", "90s")
	set := s.unit.get("Service", "TimeoutStopSec")
	if set == nil {
		set = s.unit.get("Service", "TimeoutSec")
	}
	if set == nil {
		return nil
	}
	d, forever, err := parseTime(s.text(set))
	switch {
	case err != nil:
		s.about(set, "%v", err)
	case forever || d == 0:
		stop.set("timeout", "24h")
		s.about(set, "foster doesn't wait for ever: it is a day here")
	default:
		stop.set("timeout", units.FormatDuration(d))
	}
	return nil
}

// restart reads when it is started again.
func (s *service) restart() error {
	restart := s.app.below("restart")
	set := s.unit.get("Service", "Restart")
	policy := "no"
	if set != nil {
		policy = set.value
	}
	switch policy {
	case "no":
		restart.set("policy", "no")
		for _, key := range []string{"RestartSec", "RestartSteps", "RestartMaxDelaySec", "SuccessExitStatus", "StartLimitBurst", "StartLimitIntervalSec", "StartLimitInterval"} {
			s.startLimit(key)
		}
		return s.successes(restart)
	case "always":
		restart.set("policy", "always")
	case "on-failure":
		restart.set("policy", "on_failure")
		if s.kind == "forking" {
			restart.set("policy", "always", set.remark("the start script of a daemon ends well: only always restarts it when the daemon has ended"))
		}
	case "on-success":
		restart.set("policy", "always", set.remark("foster has no policy for successes alone: this restarts after failures, too"))
	case "on-abnormal", "on-abort", "on-watchdog":
		restart.set("policy", "on_failure", set.remark("this restarts after any failure, exit codes too"))
	default:
		return set.at.wrong("Restart: %q is none of systemd's policies", clip(policy))
	}
	if err := s.successes(restart); err != nil {
		return err
	}
	s.pause(restart)
	return s.bound(restart)
}

// pause reads how long it waits before a restart: always the same, or longer by steps.
func (s *service) pause(restart *object) {
	first := 100 * time.Millisecond
	if set := s.unit.get("Service", "RestartSec"); set != nil {
		d, forever, err := parseTime(s.text(set))
		switch {
		case err != nil:
			s.about(set, "%v", err)
		case forever:
			s.about(set, "foster has no endless pause")
		default:
			first = d
		}
	}
	most, factor := first, 1.0
	steps, longest := s.unit.get("Service", "RestartSteps"), s.unit.get("Service", "RestartMaxDelaySec")
	if steps != nil && longest != nil {
		n, err := strconv.Atoi(steps.value)
		d, forever, terr := parseTime(s.text(longest))
		if err == nil && terr == nil && n > 0 && !forever && d > first && first > 0 {
			most = d
			factor = min(1000, math.Round(math.Pow(float64(d)/float64(first), 1/float64(n))*100)/100)
		} else {
			s.about(steps, "foster's pauses grow by a factor, up to a longest")
		}
	}
	backoff := restart.below("backoff")
	backoff.set("initial", units.FormatDuration(first))
	backoff.set("factor", max(factor, 1))
	if most > time.Minute || most > first {
		backoff.set("max", units.FormatDuration(most))
	}
	backoff.set("jitter", 0)
}

// startLimit gives a setting that older versions of systemd had in another section.
func (s *service) startLimit(keys ...string) *setting {
	for _, key := range keys {
		for _, section := range []string{"Unit", "Service"} {
			if set := s.unit.get(section, key); set != nil {
				return set
			}
		}
	}
	return nil
}

// bound reads after how many restarts it has failed. systemd's own bound is 5 starts within
// 10 seconds.
func (s *service) bound(restart *object) error {
	burst, window := 5, 10*time.Second
	if set := s.startLimit("StartLimitBurst"); set != nil {
		n, err := strconv.Atoi(set.value)
		if err != nil || n < 0 {
			return set.at.wrong("StartLimitBurst: %q is no number", clip(set.value))
		}
		burst = n
	}
	if set := s.startLimit("StartLimitIntervalSec", "StartLimitInterval"); set != nil {
		d, forever, err := parseTime(s.text(set))
		switch {
		case err != nil:
			s.about(set, "%v", err)
		case forever:
			restart.set("max_restarts", burst)
			return nil // foster's window is endless by default
		default:
			window = d
		}
	}
	if burst > 0 && window > 0 {
		restart.set("max_restarts", burst)
		restart.set("window", units.FormatDuration(window))
	}
	return nil
}

// successes reads which exits aren't a failure.
func (s *service) successes(restart *object) error {
	var codes list
	seen := map[int]bool{0: true}
	add := func(set *setting) {
		for _, word := range strings.Fields(set.value) {
			n, err := strconv.Atoi(word)
			switch {
			case err != nil && set.key == "SuccessExitStatus" && exitNames[word] > 0:
				n = exitNames[word]
			case err != nil:
				s.about(set, "%s: foster takes exit codes: an end by a signal is always a failure", clip(word))
				continue
			case n < 0 || n > 255:
				s.about(set, "%d is no exit code", n)
				continue
			}
			if !seen[n] {
				seen[n] = true
				codes = append(codes, n)
			}
		}
	}
	for _, set := range s.unit.all("Service", "SuccessExitStatus") {
		add(set)
	}
	for _, set := range s.unit.all("Service", "RestartPreventExitStatus") {
		add(set)
		s.about(set, "foster takes these exit codes for successes, after which on_failure doesn't restart")
	}
	if len(codes) > 0 {
		restart.set("success_exit_codes", codes)
	}
	return nil
}

// exitNames are those of systemd.exec(5) that are in use.
var exitNames = map[string]int{
	"USAGE": 64, "DATAERR": 65, "NOINPUT": 66, "NOUSER": 67, "NOHOST": 68, "UNAVAILABLE": 69, "SOFTWARE": 70, "OSERR": 71,
	"OSFILE": 72, "CANTCREAT": 73, "IOERR": 74, "TEMPFAIL": 75, "PROTOCOL": 76, "NOPERM": 77, "CONFIG": 78,
}
