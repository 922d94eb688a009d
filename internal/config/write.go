package config

import "strings"

// Resolved is the project as a foster.yaml that has everything in it: files are merged,
// variables replaced, defaults written. What the applications inherit from the
// environment is left out. It is made of what encoding/json takes.
func (p *Project) Resolved() map[string]any {
	root, _ := projectShape().write(project{Project: *p}).(map[string]any)
	apps := map[string]any{}
	for _, a := range p.Apps {
		apps[a.Name] = a.resolved()
	}
	root["apps"] = apps
	return root
}

func (a App) resolved() map[string]any {
	m, _ := appShape().write(app{App: a}).(map[string]any)
	m["command"] = writeCommand(a.Command)
	m["working_dir"] = escape(a.Dir)
	environment := map[string]any{}
	for _, e := range a.Env[min(a.Inherited, len(a.Env)):] {
		if name, value, _ := strings.Cut(e, "="); name != "PWD" || value != a.Dir {
			environment[name] = escape(value)
		}
	}
	if len(environment) > 0 {
		m["environment"] = environment
	}
	return m
}
