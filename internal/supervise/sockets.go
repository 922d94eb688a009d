package supervise

import (
	"os"
	"slices"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/activate"
	"github.com/foster-init/foster/internal/config"
)

// listen hands a command the sockets of its application, which stay open here, and in the
// shim: a restart refuses nobody who connects, nor does the death of the supervisor.
func listen(cmd *foster.Cmd, sockets *activate.Set, spec *config.App) error {
	var want []activate.Spec
	for _, c := range spec.Sockets {
		name := c.Name
		if name == "" {
			name = spec.Name
		}
		want = append(want, activate.Spec{Name: name, Address: c.Address, Mode: c.Mode})
		cmd.ListenNames = append(cmd.ListenNames, name)
	}
	files, err := sockets.Take(want)
	cmd.ExtraFiles, cmd.Keep = files, append(cmd.Keep, files...)
	return err
}

// unlisten closes the sockets of an application when all of it has come to rest: who
// connects then is refused, as it should be.
func (s *Supervisor) unlisten(i *instance) {
	if i.runs() || slices.ContainsFunc(s.instances(), func(other *instance) bool { return other.app == i.app && other.runs() }) {
		return
	}
	i.app.sockets.Close()
}

// leaveSockets lets go of the sockets of what was left running, and closes the others.
func (s *Supervisor) leaveSockets() {
	for _, i := range s.instances() {
		if s.Left() {
			i.app.sockets.Leave()
		} else {
			i.app.sockets.Close()
		}
	}
}

// RemoveStaleSockets removes the files of a project's unix sockets on which nobody listens,
// since the supervisor and all shims that held them were killed.
func RemoveStaleSockets(p *config.Project) {
	for _, spec := range p.Apps {
		for _, c := range spec.Sockets {
			activate.RemoveStale(c.Address)
		}
	}
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
