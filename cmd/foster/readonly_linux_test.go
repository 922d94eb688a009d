package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/leaktest"
)

// readOnly is a host whose disk becomes read-only: within a namespace of mounts, and one
// of processes, whose end is that of all in it.
const readOnly = `set -eu
foster up -d
foster status -o json | grep '"pid"' | tail -n +2 > "$HERE/before"
kill -9 $(foster status -o json | grep -m1 -o '"pid": [0-9]*' | grep -o '[0-9]*')
while foster status >/dev/null 2>&1; do sleep 0.01; done
mount --bind "$XDG_STATE_HOME" "$XDG_STATE_HOME"
mount -o remount,bind,ro "$XDG_STATE_HOME"
echo "== read-only"
foster up -d
foster status -o json | grep '"pid"' | tail -n +2 > "$HERE/after"
cmp "$HERE/before" "$HERE/after"
foster up -d
foster events | grep 'problem:  *state'
foster down
echo "== another"
foster up --project another &
until foster status --project another >/dev/null 2>&1; do sleep 0.01; done
foster down --project another
wait $!
echo "== done"
`

func TestUpTakesOverWhereTheStateCanOnlyBeRead(t *testing.T) {
	leaktest.Check(t)
	leaktest.Need(t, "root", needRoot())
	path := inProject(t, "name: shop\napps: {web: {command: [sleep, '1000']}}")
	here := filepath.Dir(path)
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", readOnly)
	cmd.Dir = here
	cmd.Env = append(os.Environ(), "HERE="+here)
	for name, folder := range map[string]string{"XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run"} {
		folder = filepath.Join(here, folder)
		if err := os.Mkdir(folder, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, name+"="+folder)
	}
	stuck := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	defer stuck.Stop()
	said, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	for _, want := range []string{
		"nothing will be kept of what the daemon says of itself", "nothing differs", "state.json.new: read-only file system",
		"goes on without a lock in the folder of its state", "== done",
	} {
		if !strings.Contains(string(said), want) {
			t.Errorf("there is no %q in\n%s", want, said)
		}
	}
}
