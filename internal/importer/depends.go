package importer

import "fmt"

// The conditions of a dependency.
const (
	started    = "process_started"
	healthy    = "process_healthy"
	completed  = "process_completed_successfully"
	anyOutcome = "process_completed"
	logReady   = "process_log_ready"
)

// depend lets an application wait for another.
func (a *app) depend(on string, condition string, remarks ...Remark) *object {
	deps := a.below("depends_on")
	one := &object{}
	if f := deps.field(on); f != nil {
		one = f.value.(*object)
	}
	if condition != started {
		one.set("condition", condition)
	} else if one.get("condition") == nil {
		one.set("condition", started)
	}
	deps.set(on, one, remarks...)
	return one
}

func (a *app) dependencies() *object {
	if deps, ok := a.get("depends_on").(*object); ok {
		return deps
	}
	return &object{}
}

// cutCycles takes out what foster can't keep: applications that wait for others that
// aren't there, for themselves, or for each other.
func (d *draft) cutCycles() {
	const open, done = 1, 2
	state := map[*app]int{}
	var visit func(a *app)
	visit = func(a *app) {
		state[a] = open
		deps := a.dependencies()
		for _, f := range append([]field{}, deps.fields...) {
			other := d.find(f.key)
			if other != nil && state[other] == 0 {
				visit(other)
			}
			if other == nil || state[other] == open {
				deps.unset(f.key)
				why := fmt.Sprintf("%s can't wait for %s: ", a.name, f.key)
				if other == nil {
					why += "there is no such application"
				} else {
					why += "they would wait for each other"
				}
				a.remark(Remark{File: d.origin[0], What: "depends_on", Text: why})
			}
		}
		if len(deps.fields) == 0 {
			a.unset("depends_on")
		}
		state[a] = done
	}
	for _, a := range d.apps {
		if state[a] == 0 {
			visit(a)
		}
	}
}

// fitConditions takes back conditions that can never come true: what is never ready, or
// never completes.
func (d *draft) fitConditions() {
	for _, a := range d.apps {
		deps := a.dependencies()
		for i := range deps.fields {
			f := &deps.fields[i]
			on, dep := d.find(f.key), f.value.(*object)
			why := ""
			switch dep.get("condition") {
			case healthy:
				if on.get("readiness_probe") == nil && on.get("notify") == nil && on.get("forking") == nil {
					why = "has no way to tell that it is ready"
				}
			case logReady:
				if probe, ok := on.get("readiness_probe").(*object); !ok || probe.get("log_line") == nil {
					why = "has no line of output to wait for"
				}
			case completed, anyOutcome:
				if on.endless() {
					why = "never completes: it is always restarted"
				}
			}
			if why != "" {
				f.remarks = append(f.remarks, Remark{d.origin[0], 0, fmt.Sprint(dep.get("condition")), on.name + " " + why})
				dep.set("condition", started)
			}
		}
	}
}

// endless says whether an application never completes.
func (a *app) endless() bool {
	restart, ok := a.get("restart").(*object)
	return ok && restart.get("policy") == "always" && a.get("schedule") == nil
}
