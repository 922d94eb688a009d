package supervise

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/sys"
)

// memory is what one life of the supervisor leaves for the next: the project as it was
// applied, and which instances had come to rest, and so are not to run again only
// because the supervisor was killed.
type memory struct {
	folder string
	broken error // why nothing can be written; nil: it can

	first    bool // there was no life before
	rebooted bool // and the host was started since

	Boot  string              `json:"boot,omitempty"` // of the host
	Clean bool                `json:"clean"`          // all was stopped: the next life begins anew
	Rests map[string]restNote `json:"rests"`
	// Shown is what the instances that run have said once, and are not asked again.
	Shown map[string]shownNote `json:"shown"`
	// Scaled are the applications that have other numbers of replicas than the
	// configuration gives them.
	Scaled map[string]scaleNote `json:"scaled,omitempty"`
	// Begun are the commands of a stop that were begun, of the last run of an instance.
	Begun map[string][]string `json:"begun,omitempty"`
	// UnderWay are those of them that haven't ended.
	UnderWay map[string][]string `json:"under_way,omitempty"`
	// Owed are the instances whose hook after an end is to be run yet: processes were left.
	Owed map[string]bool `json:"owed,omitempty"`
	// Tries are how often instances were started again.
	Tries map[string]tries `json:"tries,omitempty"`
	// Only are the applications that were to be started, in this life and those that were
	// killed before it; none: all that have autostart.
	Only []string `json:"only,omitempty"`
	// Leaving are instances that are no longer of the project, and have trees.
	Leaving map[string]leavingNote `json:"leaving,omitempty"`
}

// leavingNote is with what an instance is stopped that is no longer of the project.
type leavingNote struct {
	App     config.App `json:"app"`
	Replica int        `json:"replica"`
	Active  bool       `json:"active,omitempty"` // as in restNote
}

// scaleNote is a number of replicas that was asked for, in place of that of the
// configuration.
type scaleNote struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// restNote is an instance that doesn't run, and why: Stopped, Completed, Failed. Or one
// that is to run: Stopping, when its tree has been stopped; Waiting, when there is none.
type restNote struct {
	State client.State `json:"state"`
	Cause string       `json:"cause"`
	Since time.Time    `json:"since,omitzero"`
	// Due says that one with a schedule was due, and hasn't begun to run; Queued that it was
	// so while it still ran, and is to run once more after that.
	Due    bool `json:"due,omitempty"`
	Queued bool `json:"queued,omitempty"`
	// Active says that it has completed, and what it has set up isn't taken down yet.
	Active bool `json:"active,omitempty"`
}

// same says whether two notes say the same; since when doesn't count.
func (n restNote) same(other restNote) bool {
	n.Since = other.Since
	return n == other
}

// shownNote is by what an instance has shown that it is ready.
type shownNote struct {
	Told bool `json:"told,omitempty"` // by sd_notify(3)
	Line bool `json:"line,omitempty"`
	// Ready says that it was ready, by whatever, and so has started in time.
	Ready bool `json:"ready,omitempty"`
}

const (
	memoryFile  = "state.json"
	projectFile = "project.json"
)

// remember reads what the last life has left. What can't be read is set aside and told.
func remember(folder string) (_ *memory, last *config.Project, problem error) {
	m := &memory{folder: folder}
	m.first = !exists(filepath.Join(folder, memoryFile)) && !exists(filepath.Join(folder, projectFile))
	problem = errors.Join(readJSON(filepath.Join(folder, memoryFile), m), readJSON(filepath.Join(folder, projectFile), &last))
	if m.Rests == nil {
		m.Rests = map[string]restNote{}
	}
	if m.Shown == nil {
		m.Shown = map[string]shownNote{}
	}
	m.sinceBoot()
	return m, last, problem
}

// recall is remember without a trace: what can't be read counts as nothing.
func recall(folder string) (_ *memory, last *config.Project) {
	m := &memory{folder: folder}
	m.first = !exists(filepath.Join(folder, memoryFile)) && !exists(filepath.Join(folder, projectFile))
	for name, to := range map[string]any{memoryFile: m, projectFile: &last} {
		if text, err := os.ReadFile(filepath.Join(folder, name)); err == nil {
			_ = json.Unmarshal(text, to) // the supervisor that begins tells of it
		}
	}
	m.sinceBoot()
	return m, last
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// sinceBoot drops what says nothing after a start of the host: what had completed or failed
// is to run again as everything else; only what somebody has stopped stays so.
func (m *memory) sinceBoot() {
	boot, err := sys.BootID()
	if err != nil {
		return // nobody can say
	}
	m.rebooted = m.Boot != "" && m.Boot != boot
	m.Boot = boot
	if m.rebooted {
		m.Tries = nil
		maps.DeleteFunc(m.Rests, func(_ string, n restNote) bool { return n.State != client.Stopped })
		for id, n := range m.Rests {
			n.Active = false // what was set up is gone with the boot
			m.Rests[id] = n
		}
	}
}

func readJSON(path string, to any) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, to); err != nil {
		aside := path + ".corrupt"
		return errors.Join(fmt.Errorf("%s can't be read (%w): it was set aside as %s", path, err, aside), os.Rename(path, aside))
	}
	return nil
}

// rest notes that an instance has come to rest, or no longer is.
func (m *memory) rest(id string, n *restNote) {
	before, had := m.Rests[id]
	switch {
	case n != nil && had && n.same(before):
		return
	case n != nil:
		m.Rests[id] = *n
	case had:
		delete(m.Rests, id)
	default:
		return
	}
	m.save()
}

// goOnWith notes which applications are to be started, in place of a supervisor that was
// killed beside those that this one was to start, which it returns.
func (m *memory) goOnWith(only []string, killed bool) (before []string) {
	before = m.Only
	switch {
	case !killed:
		m.Only = only
	case len(before) > 0 && len(only) > 0:
		m.Only = slices.Compact(slices.Sorted(slices.Values(slices.Concat(before, only))))
	default:
		m.Only = nil // all, and of others it is noted
	}
	return before
}

func (m *memory) has(id string) bool {
	_, ok := m.Rests[id]
	return ok
}

// leaves notes that an instance is no longer of the project. It isn't written yet.
func (m *memory) leaves(id string, n leavingNote) {
	if m.Leaving == nil {
		m.Leaving = map[string]leavingNote{}
	}
	m.Leaving[id] = n
}

// scaled notes that an application has another number of replicas.
func (m *memory) scaled(app string, from, to int) {
	if m.Scaled == nil {
		m.Scaled = map[string]scaleNote{}
	}
	if before, ok := m.Scaled[app]; ok {
		from = before.From
	}
	m.Scaled[app] = scaleNote{from, to}
	m.save()
}

// keepScale gives the applications of a project the numbers of replicas that were asked
// for, where the configuration has the same as then.
func (m *memory) keepScale(p *config.Project) {
	for i := range p.Apps {
		if n, ok := m.Scaled[p.Apps[i].Name]; ok && n.From == p.Apps[i].Replicas {
			p.Apps[i].Replicas = n.To
		}
	}
}

// forgetScales forgets those that a project doesn't have, since its configuration has
// another number.
func (m *memory) forgetScales(p *config.Project) {
	apps := appsByName(p)
	for name, n := range m.Scaled {
		if a := apps[name]; a == nil || a.Replicas != n.To {
			delete(m.Scaled, name)
		}
	}
	m.save()
}

// shown notes what an instance has shown; nothing: that it is to show it anew.
func (m *memory) shown(id string, note shownNote) {
	if m.Shown[id] == note {
		return
	}
	if m.Shown[id] = note; note == (shownNote{}) {
		delete(m.Shown, id)
	}
	m.save()
}

// endsClean notes that all was stopped.
func (m *memory) endsClean() {
	m.Clean = true
	m.Leaving, m.Begun, m.UnderWay, m.Owed, m.Tries = nil, nil, nil, nil, nil
	m.save()
}

func (m *memory) save() { m.broken = writeJSON(filepath.Join(m.folder, memoryFile), m) }

// saveProject writes the project, after the notes of those that are no longer of it.
func (m *memory) saveProject(p *config.Project) {
	if m.save(); m.broken == nil {
		m.broken = writeJSON(filepath.Join(m.folder, projectFile), p)
	}
}

// Applied gives the project as the supervisor with this folder has applied it last.
func Applied(folder string) (*config.Project, error) {
	text, err := os.ReadFile(filepath.Join(folder, projectFile))
	if err != nil {
		return nil, err
	}
	p := &config.Project{}
	return p, json.Unmarshal(text, p)
}

// writeJSON replaces a file whole: a reader, also after a crash of this process, finds
// the old one or the new one.
func writeJSON(path string, v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
