package shim

import (
	"fmt"
	"os"
	"runtime"

	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// writes are files that the stage has open, to write to them as the last before it is
// replaced by the leader: by that it enters a cgroup, say, whose limits would else be
// reached by the stage itself.
type writes struct {
	list  []wire.Write
	files []*os.File
}

func openWrites(list []wire.Write) (writes, *failure) {
	w := writes{list: list}
	for _, one := range list {
		f, err := os.OpenFile(one.Path, os.O_WRONLY, 0)
		if err != nil {
			return w, &failure{StageLimits, err}
		}
		w.files = append(w.files, f)
	}
	return w, nil
}

func (w writes) close() {
	for _, f := range w.files {
		f.Close()
	}
}

// write may bring this process to a limit on its threads, which Go's scheduler would
// answer with a panic. So it's kept from making more: there is one processor left, and
// it isn't given away by a call that the scheduler sees.
func (w writes) write() *failure {
	if len(w.list) == 0 {
		return nil
	}
	runtime.GOMAXPROCS(1)
	for i, one := range w.list {
		if err := sys.WriteNow(w.files[i], one.Text); err != nil {
			return &failure{StageLimits, fmt.Errorf("write %q to %s: %w", one.Text, one.Path, err)}
		}
	}
	return nil
}
