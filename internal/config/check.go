package config

import "strings"

// check looks at what several keys, or several applications, have to agree in.
func (l *loader) check(apps []*app) {
	byName := map[string]*app{}
	var names []string
	for _, a := range apps {
		byName[a.Name] = a
		names = append(names, a.Name)
	}
	for _, a := range apps {
		for i, dep := range a.DependsOn {
			at := a.dependsAt[i]
			switch {
			case dep.App == a.Name:
				l.problems.add(at, "", "it depends on itself")
			case byName[dep.App] == nil:
				l.problems.add(at, meant(dep.App, names), "there is no application %q", dep.App)
			}
		}
	}
	l.cycles(apps, byName)
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
