package supervise

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// noted is a command that writes that it has begun, and then goes on as another.
func noted(dir, name string, then []string) []string {
	return append([]string{"/bin/sh", "-c", fmt.Sprintf(`echo %s >> %s/out; exec "$@"`, name, dir), "sh"}, then...)
}

func init() {
	projects["pre-stop"] = func(dir string) *config.Project {
		p := projects["slow-hook"](dir)
		p.Apps[0].Hooks.PreStop = noted(dir, "pre_stop", untilGo(dir))
		p.Apps[0].Stop.Command = noted(dir, "command", []string{"/bin/true"})
		return p
	}
	projects["stop-command"] = func(dir string) *config.Project {
		p := projects["slow-hook"](dir)
		p.Apps[0].Hooks.PreStop = noted(dir, "pre_stop", []string{"/bin/true"})
		p.Apps[0].Stop.Command = noted(dir, "command", untilGo(dir))
		return p
	}
	projects["ends"] = func(dir string) *config.Project {
		app := script("web", fmt.Sprintf("echo $$ > %[1]s/pid; echo start >> %[1]s/out; until [ -e %[1]s/end ]; do sleep 0.01; done", dir))
		app.Hooks.PostStop = noted(dir, "post_stop", []string{"/bin/true"})
		p := oneApp(app)
		p.Grace = time.Minute
		return p
	}
}

// Killed in the middle of a stop, a supervisor has begun some of its commands: the next one
// goes on with the stop, and runs only those that had not begun.
func TestWhatAStopHasBegunIsNotRunAgainByTheNextLife(t *testing.T) {
	for _, project := range []string{"pre-stop", "stop-command"} {
		t.Run(project, func(t *testing.T) {
			dir := t.TempDir()
			killedWhile(t, project, "restart", dir, 1)
			s, end := running(t, projects[project](dir), Options{State: dir})
			said(t, dir+"/out", "start web, pre_stop, command, stop web, start web")
			told(t, s, "hook", "pre_stop isn't run again: it was begun before for this run")
			awaitState(t, s, "web", client.Running)
			if err := end(); err != nil { // of another run
				t.Fatal(err)
			}
			said(t, dir+"/out", "start web, pre_stop, command, stop web, start web, pre_stop, command, stop web")
			clearAway(t)
		})
	}
}

// A stop for the end that was cut short is over: the next is another.
func TestAnotherStopOfTheSameRunRunsItsCommandsAgain(t *testing.T) {
	dir := t.TempDir()
	killedWhile(t, "pre-stop", "down", dir, 1)
	s, end := running(t, projects["pre-stop"](dir), Options{State: dir})
	awaitState(t, s, "web", client.Running)
	if err := end(); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start web, pre_stop, pre_stop, command, stop web")
	clearAway(t)
}

// Killed before the shim had forgotten the end of a tree, a supervisor leaves that end to the
// next, with the note that the hook after it has begun.
func TestTheHookAfterAnEndIsNotRunAgainByTheNextLife(t *testing.T) {
	for begun, want := range map[bool]string{false: "start, post_stop", true: "start"} {
		t.Run(fmt.Sprintf("begun %v", begun), func(t *testing.T) {
			dir := t.TempDir()
			t.Setenv(projectVariable, "ends")
			cmd := startSupervisor(t, dir)
			leaktest.Eventually(t, "it runs", func() bool {
				m, _, err := remember(dir)
				return err == nil && !m.first && lines(t, dir+"/out") == "start"
			})
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // killed
			m, _, err := remember(dir)
			if err != nil {
				t.Fatal(err)
			}
			if begun {
				m.begin(treeID("test", "web", 1), postStop)
			}
			touch(t, dir+"/end")
			awaitGone(t, filepath.Join(dir, "pid"))
			s, end := running(t, projects["ends"](dir), Options{State: dir})
			awaitState(t, s, "web", client.Completed)
			said(t, dir+"/out", want)
			if err := end(); err != nil {
				t.Fatal(err)
			}
			clearAway(t)
		})
	}
}

// awaitGone waits until the process whose pid is in a file is no more.
func awaitGone(t *testing.T, file string) {
	t.Helper()
	pid, err := strconv.Atoi(strings.TrimSpace(lines(t, file)))
	if err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "it has ended", func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/%d", pid))
		return os.IsNotExist(err)
	})
}

// Where a tree has ended while the command before the signals was under way, there is
// nothing left to stop: another run may have begun by then.
func TestWhatComesBeforeTheSignalsIsLeftOutWhereTheTreeHasEnded(t *testing.T) {
	dir := t.TempDir()
	p := projects["ends"](dir)
	p.Apps[0].Hooks.PreStop = noted(dir, "pre_stop", []string{"/bin/sh", "-c", fmt.Sprintf("touch %[1]s/end; until [ -e %[1]s/go ]; do sleep 0.01; done", dir)})
	p.Apps[0].Stop.Command = noted(dir, "command", []string{"/bin/true"})
	s, _ := running(t, p, Options{})
	said(t, dir+"/out", "start")
	awaitState(t, s, "web", client.Running) // which is told later than it says so
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	touch(t, dir+"/go")
	s.helpers.Wait()
	said(t, dir+"/out", "start, pre_stop, post_stop")
}

// What is changed without a restart of what runs holds for what runs: how it is stopped, the
// hooks around that, and which statuses are a success.
func TestWhatRunsIsStoppedAsTheConfigurationSaysNow(t *testing.T) {
	dir := t.TempDir()
	app := script("web", fmt.Sprintf(`trap 'echo term >> %[1]s/out; exit 0' TERM; trap 'echo usr1 >> %[1]s/out; exit 3' USR1
echo start >> %[1]s/out; while :; do sleep 0.01; done`, dir))
	next := app
	next.Hooks.PreStop, next.Hooks.PostStop = noted(dir, "pre_stop", []string{"/bin/true"}), noted(dir, "post_stop", []string{"/bin/true"})
	next.Stop.Signal, next.Stop.Command = syscall.SIGUSR1, noted(dir, "command", []string{"/bin/true"})
	s, _ := running(t, oneApp(app), Options{Load: func() (*config.Project, error) { return oneApp(next), nil }})
	said(t, dir+"/out", "start")
	awaitState(t, s, "web", client.Running)
	if changes, err := s.Update(t.Context(), false); err != nil || fmt.Sprint(changes) != "[{web change [Stop Hooks] 0 0}]" {
		t.Fatalf("%v, %v", changes, err)
	}
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start, pre_stop, command, usr1, post_stop")
}

// What an update changes while an application is being started holds for that run, too.
func TestAnUpdateDuringAStartHoldsForThatRun(t *testing.T) {
	dir := t.TempDir()
	app := script("web", fmt.Sprintf(`trap 'echo term >> %[1]s/out; exit 0' TERM; trap 'echo usr1 >> %[1]s/out; exit 3' USR1
echo start >> %[1]s/out; while :; do sleep 0.01; done`, dir))
	app.Hooks.PreStart = []string{"/bin/sh", "-c", "until [ -e " + dir + "/go ]; do sleep 0.01; done"}
	next := app
	next.Stop.Signal = syscall.SIGUSR1
	s, _ := running(t, oneApp(app), Options{Load: func() (*config.Project, error) { return oneApp(next), nil }})
	awaitState(t, s, "web", client.Starting)
	if _, err := s.Update(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start")
	awaitState(t, s, "web", client.Running)
	if err := s.Stop(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	said(t, dir+"/out", "start, usr1")
}
