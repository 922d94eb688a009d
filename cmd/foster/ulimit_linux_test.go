package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

// TestLimitReachedIsOneLine runs foster as a user with too few processes, or files, and then
// with enough. Below the least number the Go runtime itself can't begin.
func TestLimitReachedIsOneLine(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root", errors.New("another user is needed, whom nobody else uses"))
	}
	leaktest.Check(t)
	exe, err := exec.LookPath("foster")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own")
	user := 1<<20 + os.Getpid() // whose processes are this test's
	if err := errors.Join(os.Mkdir(own, 0o700), os.Chown(own, user, user)); err != nil {
		t.Fatal(err)
	}
	for dir := own; dir != "/tmp" && dir != "/"; dir = filepath.Dir(dir) {
		if dir != own {
			_ = os.Chmod(dir, 0o755) // some are others', and open already
		}
	}
	copied := filepath.Join(filepath.Dir(own), "foster")
	b, err := os.ReadFile(exe)
	if err := errors.Join(err, os.WriteFile(copied, b, 0o755)); err != nil {
		t.Fatal(err)
	}
	project := filepath.Join(own, "foster.yaml")
	text := `{name: few, apps: {a: {command: "true", restart: "no", ends_project: on_exit}}}`
	if err := errors.Join(os.WriteFile(project, []byte(text), 0o600), os.Chown(project, user, user)); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{{"up", "-f", project}, {"run", "--", "true"}, {"init", "--", "true"}, {"ps"}, {"ls"}, {"orphans"}} {
		for flag, limits := range map[string][]int{"u": {7, 9, 12, 15, 18, 21, 24, 27, 34, 40, 200}, "n": {8, 10, 12, 14, 16, 18, 24, 28, 200}} {
			for _, n := range limits {
				script := fmt.Sprintf(`ulimit -%s %d; exec "$0" "$@"`, flag, n)
				cmd := exec.Command("/bin/bash", append([]string{"-c", script, copied}, command...)...)
				cmd.Args[0] = "bash"
				var said bytes.Buffer
				cmd.Stderr = &said
				cmd.Env = append(os.Environ(), "HOME="+own, "XDG_RUNTIME_DIR="+own, "XDG_STATE_HOME="+own)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}}
				err := cmd.Run()
				switch text := said.String(); {
				case strings.Contains(text, "goroutine") || strings.Contains(text, "fatal error"):
					t.Errorf("%v, ulimit -%s %d: %s", command, flag, n, text)
				case err != nil && (!strings.HasPrefix(text, "foster: ") || strings.Count(text, "\n") > 2 || cmd.ProcessState.ExitCode() != exitFoster):
					t.Errorf("%v, ulimit -%s %d: %v: %s", command, flag, n, err, text)
				case err != nil && n == 200:
					t.Errorf("%v, ulimit -%s %d: %v: %s; want it to work", command, flag, n, err, text)
				}
			}
		}
	}
}

// TestLimitOfAnotherUserIsNamed: the kernel refuses the program only after foster has become
// that user.
func TestLimitOfAnotherUserIsNamed(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root", errors.New("another user is needed, whom nobody else uses"))
	}
	leaktest.Check(t)
	cmd := exec.Command("foster", "run", "--user", fmt.Sprint(1<<20+os.Getpid()), "--rlimit", "nproc=1", "--", "/bin/true")
	said, err := cmd.CombinedOutput()
	text := string(said)
	if err == nil || !strings.HasPrefix(text, "foster: start /bin/true: fork: ") || !strings.Contains(text, "1 are allowed") ||
		!strings.Contains(text, "ulimit -u") || strings.Count(text, "\n") > 2 {
		t.Errorf("%v: %s; want the limit, its value, and what to do", err, text)
	}
}
