package supervise

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/api"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func init() {
	projects["shell"] = shells
	projects["speaking shell"] = speakingShells
	projects["dying shell"] = dyingShells
}

// speakingShells is shells, with a job that says something when there is a file go.
func speakingShells(dir string) *config.Project {
	p := shells(dir)
	job := fmt.Sprintf("(while [ ! -e %s/go ]; do sleep 0.01; done; echo said to nobody; touch %[1]s/gone) & ", dir)
	p.Apps[0].Command[2] = job + p.Apps[0].Command[2]
	return p
}

// shells is a project of one interactive shell, which says so in the file out.
func shells(dir string) *config.Project {
	app := script("shell", "")
	app.Command = []string{"/bin/sh", "-c", fmt.Sprintf("printf 'start\\nstart\\n' >> %s; exec /bin/sh -i", filepath.Join(dir, "out"))}
	app.Env = append(app.Env, "PS1=> ", "ENV=")
	app.Stop = config.Stop{Signal: syscall.SIGHUP, Timeout: 10 * time.Second}
	app.Terminal = true
	return &config.Project{Name: "test", Dir: dir, Grace: time.Minute, Apps: []config.App{app}}
}

// dyingShells is one that ends when there is a file go, with something to say.
func dyingShells(dir string) *config.Project {
	p := shells(dir)
	p.Apps[0].Command[2] = fmt.Sprintf("printf 'start\\nstart\\n' >> %[1]s/out; while [ ! -e %[1]s/go ]; do sleep 0.01; done; echo last words; touch %[1]s/gone; exit 9", dir)
	return p
}

// screen is what somebody who is attached sees.
type screen struct {
	t    *testing.T
	term api.Terminal
	mu   sync.Mutex
	seen string
	err  error
}

func attachTo(t *testing.T, s *Supervisor) *screen {
	t.Helper()
	term, err := s.Terminal("shell", 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &screen{t: t, term: term}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		buf := make([]byte, 1024)
		for {
			n, err := term.Read(buf)
			c.mu.Lock()
			c.seen += string(buf[:n])
			c.err = err
			c.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	t.Cleanup(func() { term.Close(); <-ended })
	return c
}

func (c *screen) text() (seen string, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen, c.err
}

// run types a line, and waits until something is seen after it.
func (c *screen) run(line, want string) {
	c.t.Helper()
	before, _ := c.text()
	if _, err := io.WriteString(c.term, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	leaktest.Eventually(c.t, fmt.Sprintf("%q is answered by %q", line, want), func() bool {
		now, _ := c.text()
		return strings.Contains(now[len(before):], want)
	})
}

func loggedLines(t *testing.T, s *Supervisor, app string) string {
	t.Helper()
	var text strings.Builder
	for line, err := range s.Logs(t.Context(), client.LogQuery{Targets: []client.Target{{App: app}}}) {
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(line.Stream + ": " + line.Text + "\n")
	}
	return text.String()
}

func TestATerminalIsTypedToBySeveralAndSeenByAllAndInTheLog(t *testing.T) {
	s, _ := running(t, shells(t.TempDir()), Options{})
	i := awaitState(t, s, "shell", client.Running)
	a, b := attachTo(t, s), attachTo(t, s)
	a.run("echo answer $((6*7))", "answer 42\r\n")
	b.run("echo pid $$", fmt.Sprintf("pid %d\r\n", i.PID))
	leaktest.Eventually(t, "both see both", func() bool {
		one, _ := a.text()
		other, _ := b.text()
		return strings.Contains(one, "answer 42") && strings.Contains(other, "answer 42") && strings.Contains(one, fmt.Sprintf("pid %d\r\n", i.PID))
	})
	if err := a.term.Resize(100, 30); err != nil {
		t.Fatal(err)
	}
	a.run("stty size", "30 100\r\n")
	if err := b.term.Resize(80, 24); err != nil {
		t.Fatal(err)
	}
	a.run("stty size", "24 80\r\n")
	if err := b.term.Close(); err != nil {
		t.Fatal(err)
	}
	a.run("echo still $((50+1))", "still 51\r\n")
	if _, err := io.WriteString(b.term, "echo from nobody\n"); err == nil {
		t.Error("who has detached can type")
	}
	leaktest.Eventually(t, "it is in the log", func() bool {
		text := loggedLines(t, s, "shell")
		return strings.Contains(text, "answer 42\n") && strings.Contains(text, "still 51\n")
	})
	// Job control: Ctrl-C reaches the command in the foreground, and not the shell.
	a.run("sleep 1000; echo interrupted $?\x03", "^C")
	a.run("echo goes $((60+1))", "goes 61\r\n")
	if _, err := io.WriteString(a.term, "exit 3\n"); err != nil {
		t.Fatal(err)
	}
	i = awaitState(t, s, "shell", client.Failed)
	if i.Exit.Code == nil || *i.Exit.Code != 3 {
		t.Errorf("%+v", i.Exit)
	}
	leaktest.Eventually(t, "who is attached sees the end", func() bool { _, err := a.text(); return err == io.EOF })
	if _, err := s.Terminal("shell", 0); err == nil || !strings.Contains(err.Error(), "isn't running") {
		t.Errorf("attached to what has ended: %v", err)
	}
}

func TestWhoHasNoTerminalSaysSo(t *testing.T) {
	s, _ := running(t, sleepers(t.TempDir()), Options{})
	awaitState(t, s, "web", client.Running)
	if _, err := s.Terminal("web", 0); !errors.Is(err, client.ErrNoTerminal) {
		t.Errorf("%v", err)
	}
	if _, err := s.Terminal("wep", 0); !errors.Is(err, client.ErrUnknown) {
		t.Errorf("%v", err)
	}
}

// Nobody who is attached holds up an application, however little he reads.
func TestASlowViewerIsSentAway(t *testing.T) {
	dir := t.TempDir()
	p := shells(dir)
	p.Apps[0].Command = []string{"/bin/sh", "-c", "read go; i=0; while [ $i -lt 60000 ]; do echo a line that is long enough to be slow $i; i=$((i+1)); done; exit 5"}
	s, _ := running(t, p, Options{})
	awaitState(t, s, "shell", client.Running)
	term, err := s.Terminal("shell", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if _, err := io.WriteString(term, "\n"); err != nil {
		t.Fatal(err)
	}
	if i := awaitState(t, s, "shell", client.Failed); i.Exit.Code == nil || *i.Exit.Code != 5 {
		t.Errorf("%+v", i.Exit)
	}
	read, err := io.ReadAll(term)
	if !errors.Is(err, errTooSlow) || len(read) > mostBehind {
		t.Errorf("read %d bytes, %v", len(read), err)
	}
	if text := loggedLines(t, s, "shell"); strings.Count(text, "\n") < 60000 || !strings.Contains(text, "slow 59999\n") {
		t.Errorf("the log has %d lines", strings.Count(text, "\n"))
	}
}

// Killed with SIGKILL, a supervisor doesn't take the terminal with it: the same shell
// answers whoever attaches to the next.
func TestATerminalOutlivesTheSupervisor(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(projectVariable, "speaking shell")
	endSupervisor(t, dir, filepath.Join(dir, "out"), syscall.SIGKILL)
	touch(t, filepath.Join(dir, "go"))
	leaktest.Eventually(t, "it has spoken", func() bool { _, err := os.Stat(filepath.Join(dir, "gone")); return err == nil })
	s, end := running(t, speakingShells(dir), Options{State: dir})
	i := awaitState(t, s, "shell", client.Running)
	if !strings.HasPrefix(i.Cause, "taken over") {
		t.Errorf("%q", i.Cause)
	}
	c := attachTo(t, s)
	c.run("echo pid $$", fmt.Sprintf("pid %d\r\n", i.PID))
	if err := c.term.Resize(90, 20); err != nil {
		t.Fatal(err)
	}
	c.run("stty size", "20 90\r\n")
	leaktest.Eventually(t, "it is in the log", func() bool {
		text := loggedLines(t, s, "shell")
		return strings.Contains(text, fmt.Sprintf("pid %d\n", i.PID)) && strings.Contains(text, "said to nobody\n")
	})
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shim of the life that was killed
}

// What an application says last, while there is no supervisor, the next one has.
func TestTheLastWordsOfATerminalAreReadByTheNextSupervisor(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(projectVariable, "dying shell")
	endSupervisor(t, dir, filepath.Join(dir, "out"), syscall.SIGKILL)
	touch(t, filepath.Join(dir, "go"))
	leaktest.Eventually(t, "it has ended", func() bool { _, err := os.Stat(filepath.Join(dir, "gone")); return err == nil })
	s, end := running(t, dyingShells(dir), Options{State: dir})
	if i := awaitState(t, s, "shell", client.Failed); i.Exit == nil || i.Exit.Code == nil || *i.Exit.Code != 9 {
		t.Errorf("%q, %+v", i.Cause, i.Exit)
	}
	leaktest.Eventually(t, "it is in the log", func() bool {
		return strings.Contains(loggedLines(t, s, "shell"), "last words\n")
	})
	if err := end(); err != nil {
		t.Fatal(err)
	}
	leaktest.ReapOrphans(t) // the shim of the life that was killed
}

// A terminal, sockets and limits of resources at once go through the stage of a start.
func TestATerminalThroughTheStage(t *testing.T) {
	dir := t.TempDir()
	p := shells(dir)
	p.Apps[0].Sockets = []config.Socket{{Name: "ctl", Address: "unix:" + filepath.Join(dir, "app.sock")}}
	p.Apps[0].Rlimits = []foster.Rlimit{{Resource: syscall.RLIMIT_NOFILE, Soft: 64, Hard: 64}}
	s, _ := running(t, p, Options{})
	i := awaitState(t, s, "shell", client.Running)
	c := attachTo(t, s)
	c.run("echo $LISTEN_PID $LISTEN_FDNAMES $(ulimit -n) on $(tty)", fmt.Sprintf("%d ctl 64 on /dev/pts/", i.PID))
	c.run("sleep 1000; echo interrupted $?\x03", "^C")
	c.run("echo goes $((60+1))", "goes 61\r\n")
}

func TestTheTerminalIsItsUsers(t *testing.T) {
	if os.Getuid() != 0 {
		leaktest.Need(t, "root, to run as another user", errors.New("not root"))
	}
	p := shells(t.TempDir())
	p.Apps[0].User = "65534"
	p.Apps[0].Command = []string{"/bin/sh", "-c", `id -u > "$(tty)" && exit 4`}
	s, _ := running(t, p, Options{})
	if i := awaitState(t, s, "shell", client.Failed); i.Exit.Code == nil || *i.Exit.Code != 4 {
		t.Errorf("%+v", i.Exit)
	}
	if text := loggedLines(t, s, "shell"); text != "stdout: 65534\n" {
		t.Errorf("%q", text)
	}
}

func TestLineEndsAreThoseOfTheApplication(t *testing.T) {
	var l lineEnds
	var got string
	for _, p := range []string{"a\r\nb\r", "\nc\r", "d\n", "\r\r", "\n"} {
		got += string(l.plain([]byte(p)))
	}
	if want := "a\nb\nc\rd\n\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
