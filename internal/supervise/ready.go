package supervise

// readiness decides whether an instance is ready: when it has told so by sd_notify(3),
// or, where it isn't to tell, when it runs.
func (s *Supervisor) readiness(i *instance) {
	if i.ready || !i.told && (i.spec.Notify || notifies(&i.spec)) {
		return
	}
	i.ready, s.unsettled = true, true
	s.event(i, "ready", "it is ready")
}
