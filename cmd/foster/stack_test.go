package main

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// The stack of the README: it comes up in order, a start script that is killed loses nothing,
// and nothing of it is left at the end.
func TestTheExampleStackRunsAndIsStopped(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module examples\n\ngo 1.26\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address) // it is one
	p := prepare(t, "foster", "up", "-f", filepath.Join(dir, "stack/foster.yaml"))
	p.cmd.Env = append(os.Environ(), "PORT="+port)
	p.begins()
	script := p.err.pid(`counter: started \(pid (\d+)\)`)
	p.err.next(`web: started`) // once it is built
	p.err.next(`web: ready`)
	p.err.next(`worker: started`)
	p.out.next(`worker +\| has sent order 1`)
	kill(t, script)
	p.err.next(`counter: start script lost, application alive`)
	p.out.next(`report +\| orders so far`) // the job, each 10 s
	p.signal(syscall.SIGTERM)
	p.out.rest()
	p.err.rest()
	p.ends(0)
	nothingIsLeft(t)
	if l, err := net.Listen("tcp", address); err != nil {
		t.Errorf("the port is held: %v", err)
	} else {
		l.Close()
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
