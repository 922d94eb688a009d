package config

import (
	"cmp"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Instance is the application as one of its replicas is started: the variables
// ${FOSTER_PROJECT}, ${FOSTER_APP}, ${FOSTER_REPLICA} (from 1) and ${FOSTER_REPLICAS}
// have their values in its command, folder, environment, hooks and probes, and are added
// to its environment, as is PORT.
func (a App) Instance(project string, replica int) App {
	values := map[string]string{
		"FOSTER_PROJECT": project, "FOSTER_APP": a.Name,
		"FOSTER_REPLICA": strconv.Itoa(replica), "FOSTER_REPLICAS": strconv.Itoa(a.Replicas),
	}
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
	}
	replacer := strings.NewReplacer(pairs...)
	fill := func(text string) string {
		if !strings.Contains(text, "${") { // as nearly all
			return text
		}
		return replacer.Replace(text)
	}
	each := func(list []string) []string {
		filled := slices.Clone(list)
		for i := range filled {
			filled[i] = fill(filled[i])
		}
		return filled
	}
	a.Command, a.Env, a.Dir = each(a.Command), each(a.Env), fill(a.Dir)
	a.Stop.Command = each(a.Stop.Command)
	h := &a.Hooks
	h.PreStart, h.PostStart, h.PreStop, h.PostStop = each(h.PreStart), each(h.PostStart), each(h.PreStop), each(h.PostStop)
	port := 0
	if a.Port > 0 {
		port = a.Port + replica - 1
		values["PORT"] = strconv.Itoa(port)
	}
	a.Readiness, a.Liveness = a.Readiness.instance(port, each, fill), a.Liveness.instance(port, each, fill)
	env, inherited := a.Env[:0], a.Inherited
	for i, e := range a.Env {
		name, _, _ := strings.Cut(e, "=")
		if _, given := values[name]; !given {
			env = append(env, e)
		} else if i < inherited {
			a.Inherited--
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		env = append(env, name+"="+values[name])
	}
	a.Env = env
	return a
}

// instance is a probe with the variables of a replica filled in, and its port, where the
// probe has none.
func (p *Probe) instance(port int, each func([]string) []string, fill func(string) string) *Probe {
	if p == nil {
		return nil
	}
	filled := *p
	filled.Exec = each(p.Exec)
	if p.HTTP != nil {
		get := *p.HTTP
		get.Port = cmp.Or(get.Port, port)
		get.Host, get.Path, get.Headers = fill(get.Host), fill(get.Path), maps.Clone(get.Headers)
		for name, value := range get.Headers {
			get.Headers[name] = fill(value)
		}
		filled.HTTP = &get
	}
	if p.TCP != nil {
		filled.TCP = &TCPProbe{fill(p.TCP.Host), cmp.Or(p.TCP.Port, port)}
	}
	return &filled
}

// softFields are those of App that a living instance need not be restarted for.
var softFields = []string{
	"Description", "Autostart", "Replicas", "Stop", "Restart", "DependsOn",
	"Readiness", "Liveness", "StartTimeout", "RemainAfterExit", "EndsProject", "Schedule", "Watch", "Hooks",
}

// soft says whether what runs can take over what another configuration says of a field. Of
// its log that is all but whether it has one: its output can't be led elsewhere.
func soft(name string, old, now App) bool {
	if name == "Logs" {
		return old.Logs.Disabled == now.Logs.Disabled
	}
	return slices.Contains(softFields, name)
}

// TakeOver is the configuration of what runs, with all of another one that it can take over.
func (a App) TakeOver(now App) App {
	old := a
	to, from := reflect.ValueOf(&a).Elem(), reflect.ValueOf(now)
	for i := range to.NumField() {
		if soft(to.Type().Field(i).Name, old, now) {
			to.Field(i).Set(from.Field(i))
		}
	}
	return a
}

// Changes names the fields in which two versions of an application differ, and says
// whether what runs has to be restarted for that. What is inherited from the supervisor's
// environment doesn't count: it differs from one terminal to the next.
func Changes(old, now App) (fields []string, restart bool) {
	for _, a := range []*App{&old, &now} {
		a.Env, a.Inherited = a.Env[min(a.Inherited, len(a.Env)):], 0
	}
	a, b := reflect.ValueOf(old), reflect.ValueOf(now)
	for i := range a.NumField() {
		if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		name := a.Type().Field(i).Name
		fields = append(fields, name)
		restart = restart || !soft(name, old, now)
	}
	return fields, restart || old.asksNotify() != now.asksNotify()
}

// asksNotify says whether an application is given the socket of sd_notify(3) for its
// readiness: a process that runs can't be given it later.
func (a App) asksNotify() bool { return a.Readiness != nil && a.Readiness.Notify }
