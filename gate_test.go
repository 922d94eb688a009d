package foster_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/sys"
	"github.com/foster-init/foster/internal/wire"
)

// The tests in this file come to a shim as strangers, or talk nonsense to it.

// asShim prepares a program to be started as a shim, with one end of a socket.
func asShim(t *testing.T, path string) (cmd *exec.Cmd, owner *os.File) {
	t.Helper()
	mine, theirs, err := sys.Socketpair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mine.Close(); theirs.Close() })
	cmd = &exec.Cmd{Path: path, Args: []string{"foster-shim", "tree"}, ExtraFiles: []*os.File{theirs}}
	cmd.Env = []string{"GORACE=atexit_sleep_ms=0"}
	return cmd, mine
}

func refused(t *testing.T, cmd *exec.Cmd, why string) {
	t.Helper()
	out, err := cmd.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 125 || !strings.Contains(string(out), "foster: refused to run as a shim: ") ||
		!strings.Contains(string(out), why) {
		t.Errorf("got %q, %v; want a refusal since %s", out, err, why)
	}
}

func TestAShimRefusesStrangers(t *testing.T) {
	leaktest.Check(t)
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	t.Run("no socket", func(t *testing.T) {
		cmd, _ := asShim(t, exe)
		cmd.ExtraFiles = nil
		refused(t, cmd, "no socket")
	})
	t.Run("another program's child", func(t *testing.T) {
		copied := filepath.Join(t.TempDir(), "copy")
		b, err := os.ReadFile(exe)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(copied, b, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd, _ := asShim(t, copied)
		refused(t, cmd, "another program")
	})
	t.Run("not the parent's socket", func(t *testing.T) {
		cmd, _ := asShim(t, exe)
		bash, err := exec.LookPath("bash")
		leaktest.Need(t, "bash", err)
		cmd.Path, cmd.Args = bash, []string{"bash", "-c", `(exec -a foster-shim "$0" tree); exit $?`, exe}
		refused(t, cmd, "isn't its parent's")
	})
	t.Run("setuid", func(t *testing.T) {
		if os.Getuid() != 0 {
			leaktest.Need(t, "root, to make a setuid file", errors.New("not root"))
		}
		cmd, _ := asShim(t, copySetuid(t))
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		refused(t, cmd, "more privilege")
	})
	t.Run("setuid, as a user of the library", func(t *testing.T) {
		if os.Getuid() != 0 {
			leaktest.Need(t, "root, to make a setuid file", errors.New("not root"))
		}
		cmd := exec.Command(copySetuid(t), roleMark, "owner", string(foster.Subreaper), "block")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		out, err := cmd.Output()
		if err == nil || !strings.Contains(string(out), "setuid, setgid or has file capabilities") {
			t.Errorf("said %q, %v; want why it is refused", out, err)
		}
	})
	t.Run("a stage", func(t *testing.T) {
		cmd, _ := asShim(t, exe)
		cmd.Args, cmd.ExtraFiles = []string{"foster-exec", "7"}, nil
		refused(t, cmd, "no socket")
	})
}

// startOn starts a block role on a shim that the test itself talks to.
func startOn(t *testing.T, conn *wire.Conn) {
	t.Helper()
	if _, err := conn.Receive(); err != nil {
		t.Fatal(err)
	}
	cwd, err := sys.OpenWorkingDir()
	if err != nil {
		t.Fatal(err)
	}
	defer cwd.Close()
	null, err := sys.OpenNull(os.O_RDWR)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	name, argv := role("block")
	m := &wire.Start{
		Path: name, Args: append([]string{name}, argv...), Files: 3, Containment: wire.Subreaper,
	}
	if err := conn.Send([]int{int(cwd.Fd()), fd, fd, fd}, m); err != nil {
		t.Fatal(err)
	}
	answer, err := conn.Receive()
	started, ok := answer.(*wire.Started)
	if !ok {
		t.Fatalf("got %+v, %v", answer, err)
	}
	fds, err := conn.Claim(started.PIDFDs)
	if err != nil {
		t.Fatal(err)
	}
	sys.CloseAll(fds)
}

// TestNonsenseEndsTheTreeAndTheShim: who doesn't speak the protocol is no owner, and
// a tree without an owner is stopped.
func TestNonsenseEndsTheTreeAndTheShim(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, seed))
	nonsense := [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"), {0, 0, 0, 0}, {255, 255, 255, 255}, {1, 0, 0, 0, 200},
		{1, 0, 0, 0, 65},           // a message that only a shim sends
		{4, 0, 0, 0, 2, 5, 9, 255}, // a field that is longer than its frame
	}
	for range 20 {
		b := make([]byte, 64)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		nonsense = append(nonsense, append(b, 255, 255, 255, 255)) // a frame that never ends would be waited for
	}
	leaktest.Check(t)
	for i, b := range nonsense {
		cmd, mine := asShim(t, exe)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		cmd.ExtraFiles[0].Close()
		conn := wire.NewConn(mine)
		startOn(t, conn)
		if err := sys.SendFiles(mine, b, nil); err != nil {
			t.Fatal(err)
		}
		if i >= 6 {
			mine.Close() // what may have been the beginning of something goes no further
		} else {
			_, _ = io.Copy(io.Discard, mine) // to its end, which the shim makes
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("nonsense %d (seed %d): the shim ended with %v", i, seed, err)
		}
	}
}
