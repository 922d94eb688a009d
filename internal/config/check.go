package config

import (
	"fmt"
	"strconv"
	"strings"
)

// check looks at what several keys, or several applications, have to agree in.
func (l *loader) check(apps []*app) {
	byName := map[string]*app{}
	var names []string
	for _, a := range apps {
		byName[a.Name] = a
		names = append(names, a.Name)
	}
	for _, a := range apps {
		l.checkApp(a)
		l.checkInstances(a, byName)
		for i, dep := range a.DependsOn {
			at := a.dependsAt[i]
			switch on := byName[dep.App]; {
			case dep.App == a.Name:
				l.problems.add(at, "", "it depends on itself")
			case on == nil:
				l.problems.add(at, meant(dep.App, names), "there is no application %q", dep.App)
			default:
				l.checkCondition(at, dep, on)
			}
		}
	}
	l.cycles(apps, byName)
}

// checkInstances looks for a replica that has the name of another application.
func (l *loader) checkInstances(a *app, byName map[string]*app) {
	dot := strings.LastIndexByte(a.Name, '.')
	if dot < 0 || byName[a.Name[:dot]] == nil {
		return
	}
	if n, err := strconv.Atoi(a.Name[dot+1:]); err == nil && n > 0 {
		l.problems.add(a.at, "", "%q is also what replica %d of %s is called", a.Name, n, a.Name[:dot])
	}
}

// checkCondition looks whether a dependency can ever be what it has to be.
func (l *loader) checkCondition(at place, dep Dependency, on *app) {
	never := func(hint, why string) {
		l.problems.add(at, hint, "%s: %s %s", dep.Condition, dep.App, why)
	}
	switch dep.Condition {
	case Healthy:
		if !on.showsReady() {
			never("without them it is ready as soon as it runs: that is process_started", "has none of readiness_probe, notify and forking")
		}
	case LogReady:
		if on.Readiness == nil || on.Readiness.Log == "" {
			never("", "has no readiness_probe with the key log_line")
		}
	case Completed, CompletedSuccessfully:
		switch {
		case on.Schedule != nil && dep.Condition == CompletedSuccessfully:
			never("process_completed is met when it has run", "never completes: it waits for its schedule again")
		case on.endless() && on.Schedule == nil:
			never("", fmt.Sprintf("never completes: its restart policy is %s", on.Restart.Policy))
		}
	}
}

// cycles finds applications that wait for each other.
func (l *loader) cycles(apps []*app, byName map[string]*app) {
	const unseen, open, done = 0, 1, 2
	state := map[string]int{}
	var chain []string
	var visit func(a *app)
	visit = func(a *app) {
		state[a.Name] = open
		chain = append(chain, a.Name)
		for i, dep := range a.DependsOn {
			next := byName[dep.App]
			if next == nil || next == a {
				continue
			}
			switch state[dep.App] {
			case unseen:
				visit(next)
			case open:
				from := 0
				for chain[from] != dep.App {
					from++
				}
				l.problems.add(a.dependsAt[i], "", "applications wait for each other: %s", strings.Join(append(append([]string{}, chain[from:]...), dep.App), " -> "))
			}
		}
		chain = chain[:len(chain)-1]
		state[a.Name] = done
	}
	for _, a := range apps {
		if state[a.Name] == unseen {
			visit(a)
		}
	}
}
