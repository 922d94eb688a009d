package main

import (
	"strings"
	"testing"
)

// TestChildrenThatCameWithTheProcessAreSpared: what an entry point has started before
// it became foster is none of foster's.
func TestChildrenThatCameWithTheProcessAreSpared(t *testing.T) {
	out := ownHost(t, `
	for contain in subreaper group; do
		sh -c 'sh -c "sleep 1000 & echo \$! >below; wait" & echo $! >helper
			until [ -s below ]; do sleep 0.01; done
			exec foster run --contain '$contain' -- sh -c "sleep 1000 & echo \$\$ >app; wait"' &
		foster=$!
		until_ '[ -s app ]'
		shim=
		until_ 'shim=$(for d in /proc/[0-9]*; do grep -q "^[0-9]* (foster-shim) . $foster " $d/stat && echo ${d#/proc/}; done); [ -n "$shim" ]'
		[ $contain = group ] || kill -9 $shim
		[ $contain = subreaper ] || kill $foster
		wait $foster
		echo $contain: status $?, app $(state $(cat app)), helper $(state $(cat helper)), below $(state $(cat below))
		kill $(cat helper below)
		rm app helper below
	done`)
	for _, want := range []string{
		"subreaper: status 125, app , helper S, below S",
		"group: status 143, app , helper S, below S",
	} {
		if !strings.Contains(out, want+"\n") {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "left the process group") {
		t.Errorf("nobody has left the group, in\n%s", out)
	}
}
