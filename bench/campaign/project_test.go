//go:build linux

package main

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
)

// Killed again and again, foster up loses no run and no line, and doubles and restarts nothing.
func TestAShortProjectCampaignFindsNothing(t *testing.T) {
	probe := exec.Command("/bin/true")
	probe.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUSER}
	hosttest.Need(t, "a PID namespace", probe.Run())
	program := filepath.Join(t.TempDir(), "campaign")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	out, err := exec.Command(program, "project", "--kills", "6", "--time", "10s").CombinedOutput()
	if err != nil {
		t.Errorf("%v: %s", err, out)
	}
	t.Logf("%s", out)
}
