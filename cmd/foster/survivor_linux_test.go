package main

import (
	"errors"
	"os"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// TestGroupTellsASurvivorOnce: who is in the group and can't be ended was neither killed,
// nor has it left the group.
func TestGroupTellsASurvivorOnce(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to make a setuid file", errors.New("not root"))
	}
	dir, err := os.MkdirTemp("/var/tmp", "foster-test-") // setuid has an effect there
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	t.Setenv("dir", dir)
	out := ownHost(t, `
	mkdir $dir/own
	cp "$(command -v foster)" "$(command -v setpriv)" $dir
	chown 65534:65534 $dir/own
	chmod 755 $dir
	chmod 4755 $dir/setpriv
	XDG_STATE_HOME=$dir/own XDG_RUNTIME_DIR=$dir/own setpriv --reuid 65534 --regid 65534 --clear-groups \
		$dir/foster run --contain group --stop-timeout 0.1s -- sh -c \
		'$0/setpriv --reuid 0 --regid 0 --clear-groups sh -c "echo \$\$ >$0/root; exec sleep 1000" & wait' $dir &
	foster=$!
	until_ '[ -s $dir/root ]'
	kill $foster
	wait $foster
	echo status $?
	kill -9 $(cat $dir/root)
	`)
	if got, want := masked(out), "foster: N process couldn't be ended\nfoster: couldn't be ended: sleep (pid N): it belongs to another user\nstatus N\n"; got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}
