package importer

import (
	"fmt"
	"strings"
	"time"

	"github.com/foster-init/foster/internal/activate"
	"github.com/foster-init/foster/internal/schedule"
)

// socket reads a .socket: foster opens the sockets when it starts.
func (all *services) socket(u *unit) {
	s := all.target(u, "Socket", "Service")
	if s == nil {
		return
	}
	var sockets list
	addresses := map[string]bool{}
	var remarks []Remark
	name := ""
	if set := u.get("Socket", "FileDescriptorName"); set != nil {
		name = set.value
	}
	mode := u.get("Socket", "SocketMode")
	for _, set := range u.settings {
		if set.section != "Socket" || set.key != "ListenStream" && set.key != "ListenDatagram" {
			continue
		}
		set.used = true
		if set.value == "" {
			sockets, addresses = nil, map[string]bool{}
			continue
		}
		var told []Remark
		address := listenAddress(set.key, all.specifiers(u, set, set.value, &told))
		remarks = append(remarks, told...)
		if err := activate.Check(address); err != nil || strings.Contains(address, mark) {
			s.about(set, "foster can't listen there: host:port, and the absolute path of a unix socket, are possible")
			continue
		}
		if addresses[address] {
			continue
		}
		addresses[address] = true
		one := &object{}
		one.set("name", socketName(name, u, len(sockets)))
		one.set("address", address)
		if path := strings.HasPrefix(address, "unix:"); path && mode != nil && validOctal(mode.value) {
			one.set("mode", mode.value)
		} else if path {
			one.set("mode", "0666")
		}
		sockets = append(sockets, one)
	}
	if u.yes("Socket", "Accept", false) {
		s.about(u.get("Socket", "Accept"), "foster hands over the listening socket: the program has to accept connections by itself")
	}
	if len(sockets) == 0 {
		return
	}
	at := Remark{u.path, 0, "", "it is started by foster up, and not by the first connection"}
	s.app.set("sockets", sockets, append(remarks, at)...)
}

// socketName gives each socket a name of its own: foster wants that.
func socketName(name string, u *unit, n int) string {
	if name == "" {
		name = u.name
	}
	if n > 0 {
		return fmt.Sprintf("%s-%d", name, n+1)
	}
	return name
}

// listenAddress writes an address as foster does.
func listenAddress(key, value string) string {
	if strings.HasPrefix(value, "/") {
		if key == "ListenDatagram" {
			return "unixgram:" + value // which there isn't
		}
		return "unix:" + value
	}
	if !strings.Contains(value, ":") {
		value = ":" + value // a port alone
	}
	if key == "ListenDatagram" {
		return "udp:" + value
	}
	return value
}

// timer reads a .timer.
func (all *services) timer(u *unit) {
	s := all.target(u, "Timer", "Unit")
	if s == nil {
		return
	}
	s.timed = true
	var cron, zone string
	for _, set := range u.all("Timer", "OnCalendar") {
		c, z, err := calendar(set.value)
		if err == nil {
			_, err = schedule.Parse(c, z)
		}
		switch {
		case err != nil:
			s.about(set, "cron has no equal: %v", err)
		case cron != "":
			s.about(set, "foster takes one schedule: it is left out")
		default:
			cron, zone = c, z
		}
	}
	onStart := false
	for _, key := range []string{"OnUnitActiveSec", "OnUnitInactiveSec", "OnBootSec", "OnStartupSec", "OnActiveSec"} {
		for _, set := range u.all("Timer", key) {
			d, forever, err := parseTime(set.value)
			switch every := strings.HasPrefix(key, "OnUnit"); {
			case err != nil || forever:
				s.about(set, "it is no time that foster knows")
			case every && cron == "" && d >= time.Second:
				cron = "@every " + d.String()
				if key == "OnUnitInactiveSec" {
					s.about(set, "foster counts from start to start, and not from the last end")
				}
			case every:
				s.about(set, "foster takes one schedule: it is left out")
			default:
				onStart = true
				s.about(set, "foster runs it at once with foster up")
			}
		}
	}
	if cron == "" {
		s.app.set("autostart", false, Remark{u.path, 0, "", "nothing of this timer could be kept: foster start " + s.app.name + " runs it"})
		if onStart {
			s.app.unset("autostart")
		}
		return
	}
	entry := &object{}
	entry.set("cron", cron)
	if zone != "" {
		entry.set("zone", zone)
	}
	if onStart {
		entry.set("on_start", true)
	}
	s.app.set("schedule", entry)
	f := s.app.field("schedule")
	if set := u.get("Timer", "Persistent"); set != nil && truth(set.value) {
		f.remarks = append(f.remarks, set.remark("what was due while foster didn't run isn't made up for"))
	}
	if set := u.get("Timer", "RandomizedDelaySec"); set != nil {
		f.remarks = append(f.remarks, set.remark("foster starts it at the time itself"))
	}
}
