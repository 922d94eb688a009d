package api

// counters writes the totals since the supervisor began.
func (e *exposition) counters(c Counters) {
	total := func(name, help string, of func(InstanceCounters) uint64) {
		e.family(name, counter, help)
		for _, i := range c.Instances {
			e.sample(float64(of(i)), "app", i.App, "replica", number(i.Replica))
		}
	}
	total("foster_starts_total", "Starts of the instance.", func(i InstanceCounters) uint64 { return i.Starts })
	total("foster_restarts_total", "Starts that were restarts, by policy or by hand.", func(i InstanceCounters) uint64 { return i.Restarts })
	e.family("foster_exits_total", counter, "Runs that have ended, by their cause.")
	for _, i := range c.Instances {
		for _, cause := range sorted(i.Exits) {
			e.sample(float64(i.Exits[cause]), "app", i.App, "replica", number(i.Replica), "cause", cause)
		}
	}
	total("foster_orphans_adopted_total", "Processes that had lost their parent, were adopted, and were waited for when they had ended.",
		func(i InstanceCounters) uint64 { return i.Adopted })
	total("foster_zombies_reaped_total", "Processes that were waited for when they had ended.",
		func(i InstanceCounters) uint64 { return i.Reaped })
	total("foster_killed_total", "Processes of ended runs that had to be ended by SIGKILL.", func(i InstanceCounters) uint64 { return i.Killed })
	total("foster_log_bytes_total", "Bytes of output.", func(i InstanceCounters) uint64 { return i.LogBytes })
	total("foster_log_lines_total", "Lines of output.", func(i InstanceCounters) uint64 { return i.LogLines })
	total("foster_log_dropped_lines_total", "Lines of output that were dropped, since they couldn't be written.",
		func(i InstanceCounters) uint64 { return i.LogLost })
	e.probes(c)
}

func (e *exposition) probes(c Counters) {
	all := func(do func(p ProbeCounters, labels ...string)) {
		for _, i := range c.Instances {
			for _, name := range sorted(i.Probes) {
				do(i.Probes[name], "app", i.App, "replica", number(i.Replica), "probe", name)
			}
		}
	}
	e.family("foster_probe_checks_total", counter, "Checks of a probe, by their result.")
	all(func(p ProbeCounters, labels ...string) {
		e.sample(float64(p.Successes), append(labels, "result", "success")...)
		e.sample(float64(p.Failures), append(labels, "result", "failure")...)
	})
	e.family("foster_probe_duration_seconds", summary, "How long the checks of a probe have taken.")
	all(func(p ProbeCounters, labels ...string) {
		e.named("foster_probe_duration_seconds_sum", p.Seconds, labels...)
		e.named("foster_probe_duration_seconds_count", float64(p.Successes+p.Failures), labels...)
	})
	e.family("foster_probe_last_duration_seconds", gauge, "How long the last check of a probe has taken.")
	all(func(p ProbeCounters, labels ...string) { e.sample(p.Last.Seconds(), labels...) })
}
