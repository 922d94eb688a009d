package sys

import (
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// What is made is what package os makes of the same end.
func TestProcessStateIsThatOfPackageOS(t *testing.T) {
	for _, script := range []string{"exit 0", "exit 7", "kill -USR2 $$"} {
		cmd := exec.Command("sh", "-c", script)
		_ = cmd.Run() // its status is what is compared
		want := cmd.ProcessState
		got := ProcessState(want.Pid(), want.Sys().(syscall.WaitStatus), Rusage(want.UserTime(), want.SystemTime(), 5<<20))
		if got == nil || got.String() != want.String() || got.ExitCode() != want.ExitCode() || got.Pid() != want.Pid() || got.Success() != want.Success() {
			t.Fatalf("%s: got %v, want %v", script, got, want)
		}
		if got.UserTime() != want.UserTime() || got.SystemTime() != want.SystemTime() || MaxRSSBytes(*got.SysUsage().(*syscall.Rusage)) != 5<<20 {
			t.Errorf("%s: got %v and %v, want %v and %v", script, got.UserTime(), got.SystemTime(), want.UserTime(), want.SystemTime())
		}
	}
}

func TestFieldTellsWhatIsNotThere(t *testing.T) {
	of := &struct{ hidden time.Duration }{3}
	if d, ok := Field[time.Duration](of, "hidden"); !ok || d != 3 {
		t.Errorf("got %v, %v", d, ok)
	}
	if _, ok := Field[int](of, "hidden"); ok {
		t.Error("it has another type")
	}
	if _, ok := Field[int](of, "other"); ok {
		t.Error("it isn't there")
	}
}
