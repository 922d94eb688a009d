package importer

import (
	"path/filepath"
	"slices"
	"strings"
)

// services are the units that are imported, while they are read.
type services struct {
	*reader
	list []*service
}

// service is a .service, and the application that it becomes.
type service struct {
	*reader
	unit      *unit
	app       *app
	vars      map[string]string // of Environment=, with marks
	fromFiles bool              // further variables come from files
	kind      string            // Type=
	timed     bool              // a timer starts it
}

// systemd reads units.
func (r *reader) systemd(inputs []input) error {
	units, err := r.units(inputs)
	if err != nil {
		return err
	}
	all := &services{reader: r}
	for _, u := range units {
		if filepath.Ext(u.name) == ".service" {
			s := &service{reader: r, unit: u, vars: map[string]string{}}
			s.app = r.draft.add(u.base(), Remark{u.path, 0, u.name, ""})
			all.list = append(all.list, s)
		}
	}
	for _, s := range all.list {
		if err := s.readAll(); err != nil {
			return err
		}
	}
	for _, u := range units {
		switch filepath.Ext(u.name) {
		case ".socket":
			all.socket(u)
		case ".timer":
			all.timer(u)
		}
	}
	for _, s := range all.list {
		all.dependencies(s)
	}
	for _, u := range units {
		all.rest(u)
	}
	return nil
}

// find gives the service of a unit's name.
func (all *services) find(name string) *service {
	for _, s := range all.list {
		if s.unit.name == name {
			return s
		}
	}
	return nil
}

// target is the service that a .socket or .timer is for.
func (all *services) target(u *unit, section, key string) *service {
	name := u.base() + ".service"
	at := Remark{File: u.path, What: u.name}
	if set := u.get(section, key); set != nil {
		name, at = set.value, set.remark("")
	}
	s := all.find(name)
	if s == nil {
		at.Text = name + " isn't among the units that are imported: it is left out"
		all.draft.general = append(all.draft.general, at)
		for _, set := range u.settings {
			set.used = true
		}
	}
	return s
}

// readAll reads a service.
func (s *service) readAll() error {
	if err := s.environment(); err != nil {
		return err
	}
	for _, step := range []func() error{s.program, s.place, s.stop, s.restart, s.limits, s.output} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// about puts a remark on the application.
func (s *service) about(set *setting, format string, args ...any) {
	if set != nil {
		s.app.remark(set.remark(format, args...))
	}
}

// dependencies reads what a unit comes after, and what it needs.
//
// systemd tells order from need; foster has one thing for both.
func (all *services) dependencies(s *service) {
	outside := func(set *setting, names []string) {
		if len(names) > 0 {
			s.about(set, "%s: not imported: foster doesn't wait for it, so foster up has to come after it", strings.Join(names, ", "))
		}
	}
	for _, key := range []string{"Requires", "Requisite", "BindsTo", "Wants", "After", "PartOf"} {
		for _, set := range s.unit.all("Unit", key) {
			var others []string
			for _, name := range strings.Fields(s.text(set)) {
				on := all.find(name)
				switch {
				case on == s:
				case on == nil:
					others = append(others, name)
				default:
					all.depend(s, on, key, set)
				}
			}
			if key == "After" || key == "Requires" || key == "BindsTo" || key == "Requisite" {
				outside(set, others)
			}
		}
	}
	for _, set := range s.unit.all("Unit", "Before") {
		for _, name := range strings.Fields(s.text(set)) {
			if after := all.find(name); after != nil && after != s {
				all.depend(after, s, "Before", set)
			}
		}
	}
}

// depend lets one service wait for another.
func (all *services) depend(s, on *service, key string, set *setting) {
	condition := started
	switch on.kind {
	case "notify", "notify-reload", "forking":
		condition = healthy
	case "oneshot":
		condition = completed
	}
	if on.timed {
		condition = started
	}
	had := s.app.dependencies().field(on.app.name) != nil
	dep := s.app.depend(on.app.name, condition)
	f := s.app.dependencies().field(on.app.name)
	switch key {
	case "PartOf", "BindsTo":
		dep.set("restart", true)
		if key == "BindsTo" {
			f.remarks = append(f.remarks, set.remark("foster restarts it with %s, and doesn't stop it when that ends", on.app.name))
		}
	case "Wants", "After", "Before":
		if !had {
			f.remarks = append(f.remarks, set.remark("systemd starts it also where %s has failed; foster doesn't", on.app.name))
		}
	}
}

// text is the value of a setting, with its specifiers.
func (s *service) text(set *setting) string {
	var told []Remark
	text := s.specifiers(s.unit, set, set.value, &told)
	for _, r := range told {
		s.app.remark(r)
	}
	return text
}

// quiet are keys that need no word: they are for people, or for systemd's own ends.
var quiet = []string{
	"Documentation", "DefaultDependencies", "SourcePath", "GuessMainPID", "NotifyAccess", "SyslogIdentifier",
	"AccuracySec", "WantedBy", "RequiredBy", "Also", "Alias", "DefaultInstance",
}

// reasons are what can be said of keys that have no equal.
var reasons = []struct {
	keys []string
	text string
}{
	{[]string{"Condition", "Assert"}, "foster has no conditions: it is started always"},
	{[]string{"Protect", "Private", "NoNewPrivileges", "Restrict", "SystemCall", "Capability", "AmbientCapabilities", "LockPersonality", "MemoryDeny", "ReadOnly", "ReadWrite", "Inaccessible", "RemoveIPC", "SecureBits", "Bind", "TemporaryFileSystem", "DynamicUser", "Device", "IPAddress", "KeyringMode", "ProcSubset", "Mount", "RootDirectory", "RootImage", "AppArmor", "SELinux", "Smack"}, "foster doesn't put applications into a sandbox"},
	{[]string{"RuntimeDirectory", "StateDirectory", "CacheDirectory", "LogsDirectory", "ConfigurationDirectory"}, "foster makes no folders: hooks: {pre_start: …} can"},
	{[]string{"Nice", "CPUScheduling", "IOScheduling", "CPUAffinity", "OOM", "NUMA", "CPUWeight", "IOWeight", "StartupCPU", "StartupIO", "IORead", "IOWrite", "Slice", "Delegate", "CPUShares"}, "foster doesn't set it; nice(1), ionice(1) and taskset(1) in the command can"},
	{[]string{"Conflicts", "OnFailure", "OnSuccess", "PropagatesReloadTo", "ReloadPropagatedFrom", "StopWhenUnneeded", "RefuseManual", "AllowIsolate", "JobTimeout", "Upholds", "Propagates"}, "has no equal"},
	{[]string{"PIDFile"}, "foster needs none: it holds all processes, also those that a daemon leaves"},
	{[]string{"BusName"}, "foster doesn't know D-Bus: it is ready as soon as it runs"},
	{[]string{"MemoryHigh", "MemoryLow", "MemoryMin", "MemorySwapMax"}, "foster has one limit of memory: limits: {memory: 1G}"},
	{[]string{"RootHash", "Credential", "LoadCredential", "SetCredential"}, "foster hands over no credentials"},
}

// rest tells of all that nobody has read.
func (all *services) rest(u *unit) {
	target := all.find(u.name)
	if target == nil {
		target = all.find(u.base() + ".service")
	}
	for _, set := range u.settings {
		if set.used || slices.Contains(quiet, set.key) || strings.HasPrefix(set.key, "X-") || strings.HasPrefix(set.section, "X-") || set.value == "" {
			continue
		}
		text := "has no equal"
		for _, r := range reasons {
			if slices.ContainsFunc(r.keys, func(k string) bool { return strings.HasPrefix(set.key, k) }) {
				text = r.text
				break
			}
		}
		if target == nil {
			all.draft.general = append(all.draft.general, set.remark("%s", text))
			continue
		}
		target.app.remark(set.remark("%s", text))
	}
}
