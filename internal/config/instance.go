package config

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Instance is the application as one of its replicas is started: the variables
// ${FOSTER_PROJECT}, ${FOSTER_APP}, ${FOSTER_REPLICA} (from 1) and ${FOSTER_REPLICAS}
// have their values in its command, folder, environment and hooks, and are added to its
// environment.
func (a App) Instance(project string, replica int) App {
	values := map[string]string{
		"FOSTER_PROJECT": project, "FOSTER_APP": a.Name,
		"FOSTER_REPLICA": strconv.Itoa(replica), "FOSTER_REPLICAS": strconv.Itoa(a.Replicas),
	}
	var pairs []string
	for name, value := range values {
		pairs = append(pairs, "${"+name+"}", value)
	}
	fill := strings.NewReplacer(pairs...).Replace
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
	for _, name := range slices.Sorted(maps.Keys(values)) {
		a.Env = append(a.Env, name+"="+values[name])
	}
	return a
}

// softFields are those of App that a living instance need not be restarted for.
var softFields = []string{
	"Description", "Autostart", "Replicas", "Stop", "Restart", "DependsOn",
	"Readiness", "Liveness", "Schedule", "Watch", "Hooks",
}

// Changes names the fields in which two versions of an application differ, and says
// whether what runs has to be restarted for that.
func Changes(old, now App) (fields []string, restart bool) {
	a, b := reflect.ValueOf(old), reflect.ValueOf(now)
	for i := range a.NumField() {
		if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		name := a.Type().Field(i).Name
		fields = append(fields, name)
		restart = restart || !slices.Contains(softFields, name)
	}
	return fields, restart
}
