package config

import (
	"net"
	"strconv"
	"strings"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/activate"
	netprobe "github.com/foster-init/foster/internal/probe"
	"github.com/foster-init/foster/internal/schedule"
	"github.com/foster-init/foster/internal/watch"
)

// key is the place of a key of the application, or of the last one of a path that is
// written.
func (a *app) key(path ...string) place {
	at := a.all
	for _, name := range path {
		next := at.get(name)
		if next == nil {
			break
		}
		at = at.below(name, next)
	}
	if at.node == a.all.node {
		return a.at
	}
	return at
}

// checkApp looks at the keys of one application that have to agree.
func (l *loader) checkApp(a *app) {
	l.checkProbe(a, "readiness_probe", a.Readiness, false)
	l.checkProbe(a, "liveness_probe", a.Liveness, true)
	l.checkStart(a)
	l.checkSchedule(a)
	l.checkLease(a)
	l.checkSockets(a)
	if b := a.Restart.Backoff; b.Initial > b.Max {
		l.problems.add(a.key("restart", "backoff"), "", "the first pause, %v, is longer than the longest, %v", b.Initial, b.Max)
	}
	l.checkWatch(a)
	if a.Limits != (Limits{}) && !a.Limits.Optional && a.Containment != foster.Auto && a.Containment != foster.Cgroup && a.Containment != "" {
		l.problems.add(a.key("containment"), "cgroup has limits; optional: true goes on without them", "limits are those of a cgroup, and containment is %s", a.Containment)
	}
	if a.Port > 0 && a.Port+a.Replicas-1 > 65535 {
		l.problems.add(a.key("port"), "", "%d replicas from port %d on are more than there are ports", a.Replicas, a.Port)
	}
}

// showsReady says whether an application has a way to show that it is ready.
func (a *app) showsReady() bool { return a.Readiness != nil || a.Notify || a.Forking }

// endless says whether each end of an application is followed by another start.
func (a *app) endless() bool {
	return a.Restart.Policy == RestartAlways || a.Restart.Policy == RestartUnlessStopped
}

// checkStart looks at what says when an application is ready, or that it isn't in time.
func (l *loader) checkStart(a *app) {
	if a.StartTimeout > 0 && !a.showsReady() {
		l.problems.add(a.key("start_timeout"), "add a readiness_probe, notify: true or forking: true", "it is ready as soon as it runs: nothing else is waited for")
	}
	if a.RemainAfterExit && (a.Schedule != nil || a.endless()) {
		l.problems.add(a.key("remain_after_exit"), "leave it out, or the schedule, or the restart policy", "it never completes: it is started again after each end")
	}
	if never := a.Schedule != nil || a.endless() && a.Restart.MaxRestarts == 0; a.EndsProject != "" && never {
		l.problems.add(a.key("ends_project"), "leave it out, or the schedule, or the restart policy", "it never ends: it is started again after each end")
	}
	if !a.Forking {
		return
	}
	if a.Until == foster.UntilLeader {
		l.problems.add(a.key("until"), "leave it out: a run ends when the daemon has ended", "with forking, its first process ends while the daemon lives on")
	}
	if a.OnLeaderLoss != LossContinue {
		l.problems.add(a.key("on_leader_loss"), "leave it out", "with forking, its first process ends while the daemon lives on")
	}
}

// checkProbe wants one way of asking.
func (l *loader) checkProbe(a *app, name string, p *Probe, alive bool) {
	if p == nil {
		return
	}
	at := a.key(name)
	if at.kind != mapping {
		return // that was told
	}
	ways := 0
	for _, way := range []string{"exec", "http_get", "tcp", "notify", "log_line"} {
		if at.get(way) != nil && (way != "notify" || p.Notify) {
			ways++
		}
	}
	if ways != 1 {
		l.problems.add(at, "", "expected one of exec, http_get, tcp, notify and log_line: got %d of them", ways)
	}
	if alive && p.Notify {
		l.problems.add(a.key(name, "notify"), "watchdog: 30s ends an application that doesn't call its watchdog", "READY=1 is told once: it says nothing about whether it still works")
	}
	if alive && p.Log != "" {
		l.problems.add(a.key(name, "log_line"), "", "a line is written once: it says nothing about whether it still works")
	}
	if !alive && p.Log != "" && a.Logs.Disabled {
		l.problems.add(a.key(name, "log_line"), "logs: {disabled: false} for this application", "the line is never seen: its logs are disabled")
	}
	if p.HTTP != nil {
		if p.HTTP.Port == 0 && a.Port == 0 {
			p.HTTP.Port = map[string]int{"http": 80, "https": 443}[p.HTTP.Scheme]
		}
		if p.HTTP.Status > 599 {
			l.problems.add(a.key(name, "http_get", "status"), "", "expected a status from 100 to 599: got %d", p.HTTP.Status)
		}
		l.checkHost(a.key(name, "http_get", "host"), p.HTTP.Host)
		l.checkPort(a, a.key(name, "http_get"), p.HTTP.Port)
	}
	if p.TCP != nil {
		if tcp := a.key(name, "tcp"); p.TCP.Port == 0 && a.Port == 0 && tcp.kind == mapping && tcp.get("port") == nil {
			l.problems.add(tcp, "", "expected the key port")
		}
		l.checkHost(a.key(name, "tcp", "host"), p.TCP.Host)
		l.checkPort(a, a.key(name, "tcp"), p.TCP.Port)
	}
	if at.get("exec") != nil && a.key(name, "exec").kind == mapping && a.key(name, "exec").get("command") == nil {
		l.problems.add(a.key(name, "exec"), "", "expected the key command")
	}
}

// checkHost wants a name or an address. What differs between replicas isn't known yet.
func (l *loader) checkHost(at place, host string) {
	if strings.Contains(host, "${") {
		return
	}
	if err := netprobe.CheckHost(host); err != nil {
		l.problems.add(at, "", "%s", err)
	}
}

// checkPort looks for a probe that would ask all replicas at the port of the first.
func (l *loader) checkPort(a *app, at place, port int) {
	if port != 0 && port == a.Port && a.Replicas > 1 {
		if n := at.get("port"); n != nil {
			at = at.below("port", n)
		}
		l.problems.add(at, "leave it out: each is asked at its own", "all %d replicas are asked at port %d, which is that of the first", a.Replicas, port)
	}
}

func (l *loader) checkSchedule(a *app) {
	s := a.Schedule
	if s == nil {
		return
	}
	if _, err := schedule.Parse("@daily", s.Zone); err != nil {
		l.problems.add(a.key("schedule", "zone"), didYouMean(nearZone(s.Zone)), "%s", err)
		return
	}
	if s.Cron == "" {
		l.problems.add(a.key("schedule"), "", `expected the key cron: when it is started, as "0 3 * * *"`)
	} else if _, err := schedule.Parse(s.Cron, s.Zone); err != nil {
		l.problems.add(a.key("schedule", "cron"), "", "%s", err)
	}
}

func (l *loader) checkWatch(a *app) {
	if a.Watch == nil {
		return
	}
	if len(a.Watch.Paths) == 0 {
		l.problems.add(a.key("watch"), "", "expected the key paths: the files to watch")
	}
	for _, list := range []struct {
		name  string
		globs []string
	}{{"paths", a.Watch.Paths}, {"ignore", a.Watch.Ignore}} {
		at := a.key("watch", list.name).each()
		for i, glob := range list.globs {
			if err := watch.Check(glob); err != nil {
				l.problems.add(at[min(i, len(at)-1)], "", "%s", err)
			}
		}
	}
}

// checkLease looks for what package foster would refuse at each start.
func (l *loader) checkLease(a *app) {
	s := a.Lease
	switch {
	case s == (foster.Lease{}):
	case s.Time == 0:
		l.problems.add(a.key("lease"), "", "expected the key time: how long a run may last")
	case s.Max != 0 && s.Max < s.Time:
		l.problems.add(a.key("lease", "max"), "", "a lease of %v is longer than its bound of %v", s.Time, s.Max)
	case s.Signal != 0 && s.Warn == 0:
		l.problems.add(a.key("lease", "signal"), "", "expected the key warn, too: how long before the end the signal is sent")
	case s.Warn >= s.Time:
		l.problems.add(a.key("lease", "warn"), "", "a lease of %v can't be warned of %v before its end", s.Time, s.Warn)
	}
}

func (l *loader) checkSockets(a *app) {
	items := a.key("sockets").each()
	names, addresses := map[string]bool{}, map[string]bool{}
	for i, s := range a.Sockets {
		at := items[i]
		if at.kind != mapping {
			continue // that was told
		}
		switch {
		case s.Address == "":
			l.problems.add(at, "", "expected the key address: where to listen")
			continue
		case addresses[s.Address]:
			l.problems.add(at, "", "another socket has this address: %s", s.Address)
		case s.Name != "" && names[s.Name]:
			l.problems.add(at, "", "another socket has this name: %s", s.Name)
		}
		if s.Name != "" {
			if err := foster.ValidListenName(s.Name); err != nil {
				l.problems.add(at.below("name", at.get("name")), "", "%s", err)
			}
		}
		names[s.Name], addresses[s.Address] = true, true
		if err := activate.Check(s.Address); err != nil {
			l.problems.add(at.below("address", at.get("address")), "", "%s", err)
		}
	}
}

// checkMetrics wants an address that can be listened on.
func (l *loader) checkMetrics(root place, address string) {
	if address == "" {
		return
	}
	_, port, err := net.SplitHostPort(address)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.problems.add(root.below("metrics", root.get("metrics")), "", "%q isn't an address: expected host:port, as 127.0.0.1:9090", address)
	}
}
