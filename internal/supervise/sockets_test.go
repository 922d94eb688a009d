package supervise

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func init() {
	apps["serve"] = appServe
	projects["serve"] = servers
}

// appServe serves on the socket that it was handed, as long as it is for it: it says
// which process it is.
func appServe() {
	if os.Getenv("LISTEN_PID") != fmt.Sprint(os.Getpid()) || os.Getenv("LISTEN_FDS") != "1" || os.Getenv("LISTEN_FDNAMES") != "ctl" {
		fmt.Fprintln(os.Stderr, "no socket for me:", os.Environ())
		os.Exit(1)
	}
	l, err := net.FileListener(os.NewFile(3, "ctl"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if out, err := os.OpenFile(os.Getenv("OUT"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err == nil {
		fmt.Fprintln(out, "start serve\nstart serve") // for killSupervisor
		out.Close()
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		fmt.Fprint(c, os.Getpid())
		c.Close()
	}
}

func servers(dir string) *config.Project {
	app := testApp("serve", "OUT="+filepath.Join(dir, "out"))
	app.Sockets = []config.Socket{{Name: "ctl", Address: "unix:" + filepath.Join(dir, "app.sock"), Mode: 0o600}}
	return &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{app}}
}

// served asks who serves; it waits for an answer, however long that takes.
func served(t *testing.T, dir string) string {
	t.Helper()
	c, err := net.Dial("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestASocketIsKeptOverARestartAndClosedWithAStop(t *testing.T) {
	dir := t.TempDir()
	s, _ := running(t, servers(dir), Options{})
	i := awaitState(t, s, "serve", client.Running)
	if got := served(t, dir); got != fmt.Sprint(i.PID) {
		t.Errorf("served by %s, not by %d", got, i.PID)
	}
	before, err := os.Stat(filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context(), []client.Target{{App: "serve"}}); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(filepath.Join(dir, "app.sock"))
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("it was opened anew: %v", err)
	}
	if got, now := served(t, dir), instanceOf(t, s, "serve").PID; got != fmt.Sprint(now) || now == i.PID {
		t.Errorf("served by %s, not by %d", got, now)
	}
	if err := s.Stop(t.Context(), []client.Target{{App: "serve"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "app.sock")); !os.IsNotExist(err) {
		t.Errorf("after the stop: %v", err)
	}
}

func TestASocketOfAnotherIsAFailedStart(t *testing.T) {
	dir := t.TempDir()
	l, err := net.Listen("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s, _ := running(t, servers(dir), Options{})
	if i := awaitState(t, s, "serve", client.Failed); !strings.Contains(i.Cause, "another process listens on it") {
		t.Errorf("%q", i.Cause)
	}
}

// Killed with SIGKILL, a supervisor leaves the socket open, in the application and for
// the next supervisor, which starts the application anew on the same.
func TestASocketOutlivesTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(projectVariable, "serve")
	endSupervisor(t, dir, filepath.Join(dir, "out"), syscall.SIGKILL)
	before := served(t, dir)
	socket, err := os.Stat(filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	s, end := running(t, servers(dir), Options{State: dir})
	if i := awaitState(t, s, "serve", client.Running); fmt.Sprint(i.PID) != before || served(t, dir) != before {
		t.Errorf("it isn't that of before, which was %s: %d", before, i.PID)
	}
	if err := s.Restart(t.Context(), []client.Target{{App: "serve"}}); err != nil {
		t.Fatal(err)
	}
	same, err := os.Stat(filepath.Join(dir, "app.sock"))
	if err != nil || !os.SameFile(socket, same) {
		t.Errorf("the socket was opened anew: %v", err)
	}
	if after := served(t, dir); after == before {
		t.Errorf("still served by %s", after)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "app.sock")); !os.IsNotExist(err) {
		t.Errorf("at the end: %v", err)
	}
	leaktest.ReapOrphans(t) // the shim of the life that was killed
}
