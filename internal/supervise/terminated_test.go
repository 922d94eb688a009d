package supervise

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

// endOnRequest has the supervisor of another process stop all at SIGTERM and SIGINT.
func endOnRequest(s *Supervisor) {
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		<-asked
		_ = s.Down(context.Background())
	}()
}

func init() { projects["policies"] = policies }

// policies is a project of an application for each policy.
func policies(dir string) *config.Project {
	p := &config.Project{Name: "test", Dir: dir}
	for _, policy := range []config.RestartPolicy{config.RestartUnlessStopped, config.RestartAlways, config.RestartNo} {
		app := sleeper(string(policy), filepath.Join(dir, "out"))
		app.Restart.Policy = policy
		p.Apps = append(p.Apps, app)
	}
	return p
}

// stoppedAndEnded runs a supervisor whose applications are all stopped by hand, and that is
// ended by a signal then.
func stoppedAndEnded(t *testing.T, dir string, by syscall.Signal) {
	t.Helper()
	t.Setenv(projectVariable, "policies")
	t.Setenv(actVariable, "stop")
	cmd := startSupervisor(t, dir)
	leaktest.Eventually(t, "all run", func() bool { return lines(t, dir+"/out") != "" })
	if err := cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	leaktest.Eventually(t, "all were stopped by hand", func() bool { return exists(dir + "/acted") })
	if err := cmd.Process.Signal(by); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
	leaktest.ReapOrphans(t)
}

// SIGTERM ends the service: what was stopped by hand is told from what was stopped with it.
func TestAStopByHandOutlivesSIGTERMUnlessItIsAlwaysToRun(t *testing.T) {
	dir := t.TempDir()
	stoppedAndEnded(t, dir, syscall.SIGTERM)
	kept := string(config.RestartUnlessStopped)
	for range 2 { // also by the life after the next
		s, end := running(t, policies(dir), Options{State: dir})
		awaitState(t, s, string(config.RestartAlways), client.Running)
		awaitState(t, s, string(config.RestartNo), client.Running)
		if i := instanceOf(t, s, kept); i.State != client.Stopped || i.Cause != "stopped" {
			t.Errorf("%s, %q", i.State, i.Cause)
		}
		if err := s.ask(func() { s.terminated <- syscall.SIGTERM }); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	s, end := running(t, policies(dir), Options{State: dir, Only: []string{kept}})
	awaitState(t, s, kept, client.Running) // foster up APP is a start by hand
	if err := s.Stop(t.Context(), []client.Target{{App: kept}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), []client.Target{{App: kept}}); err != nil {
		t.Fatal(err)
	}
	if err := s.ask(func() { s.terminated <- syscall.SIGTERM }); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	s, _ = running(t, policies(dir), Options{State: dir})
	awaitState(t, s, kept, client.Running) // it ran until then
}

// Ctrl-C and foster down are for the project: the next foster up starts all of it.
func TestAStopByHandIsForgottenWhereTheProjectIsStopped(t *testing.T) {
	dir := t.TempDir()
	stoppedAndEnded(t, dir, syscall.SIGINT)
	for range 2 {
		s, end := running(t, policies(dir), Options{State: dir})
		for _, app := range s.Status().Apps {
			awaitState(t, s, app.Name, client.Running)
		}
		if err := s.Stop(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if err := end(); err != nil { // foster down
			t.Fatal(err)
		}
	}
}
