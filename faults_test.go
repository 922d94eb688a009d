package foster

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
)

// faultEnv asks a shim of this test binary to let system calls fail: of each the name,
// the error's number, and which call of that name.
const faultEnv = "FOSTER_TEST_FAULT"

// A variable is set before the package's init makes this process a shim.
var _ = func() bool {
	var faults []func(string) error
	for one := range strings.SplitSeq(os.Getenv(faultEnv), ",") {
		if f := strings.Split(one, ":"); len(f) == 3 {
			number, _ := strconv.Atoi(f[1])
			nth, _ := strconv.Atoi(f[2])
			faults = append(faults, failing(f[0], syscall.Errno(number), nth))
		}
	}
	if faults != nil {
		sys.Fault = func(op string) (err error) {
			for _, f := range faults {
				err = errors.Join(err, f(op))
			}
			return err
		}
	}
	return true
}()

// failing lets the nth call of an operation fail; with no error, this process is killed.
func failing(op string, errno syscall.Errno, nth int) func(string) error {
	return func(called string) error {
		if called != op {
			return nil
		}
		if nth--; nth == 0 {
			if errno == 0 {
				_ = syscall.Kill(os.Getpid(), syscall.SIGKILL) // it isn't to be outlived
			}
			return errno
		}
		return nil
	}
}

// A shim that is killed when it has read a start may have started the program. Where that
// is certain to have ended, the start is tried again; else there could be two.
func TestAShimThatIsKilledInTheMiddleOfAStart(t *testing.T) {
	for _, c := range []Containment{Subreaper, Cgroup} {
		t.Run(string(c), func(t *testing.T) {
			cmd := Command("true")
			cmd.Containment = c
			leaktest.Need(t, "containment "+string(c), cmd.Run())
			leaktest.Check(t)
			old := shim.Env
			shim.Env = append(append([]string{}, old...), faultEnv+"=fork:0:1")
			err := KeepReady(1)
			shim.Env = old
			if err != nil {
				t.Fatal(err)
			}
			defer KeepReady(0)
			cmd = Command("true")
			cmd.Containment = c
			err = cmd.Run()
			if c == Cgroup {
				if err != nil {
					t.Errorf("it isn't tried again: %v", err)
				}
				return
			}
			if start, ok := errors.AsType[*StartError](err); !ok || start.Stage != StageShim || !errors.Is(err, errCutOff) {
				t.Errorf("it may have been started, and is tried again: %v", err)
			}
			lost, _, err := Recover(t.Context())
			if err != nil || len(lost) != 1 || lost[0].Err != nil {
				t.Errorf("recovered %+v, %v; want the one entry", lost, err)
			}
		})
	}
}

// TestAFaultAtAnyStepOfAStartLeavesNothing lets each system call of a start fail,
// on either side, with each error.
func TestAFaultAtAnyStepOfAStartLeavesNothing(t *testing.T) {
	errnos := []syscall.Errno{
		syscall.EAGAIN, syscall.ENOMEM, syscall.EMFILE, syscall.EPERM, syscall.ENOSPC, syscall.ENOSYS,
	}
	for _, step := range []struct {
		op          string
		nth         int
		inShim      bool
		stage       Stage
		containment Containment
		limits      bool
	}{
		{op: "open", nth: 1, stage: StageFiles},
		{op: "pipe", nth: 1, stage: StageFiles},
		{op: "pipe", nth: 2, stage: StageFiles},
		{op: "open", nth: 2, stage: StageShim},
		{op: "socketpair", nth: 1, stage: StageShim},
		{op: "startprocess", nth: 1, stage: StageShim},
		{op: "opencwd", nth: 1, stage: StageFiles},
		{op: "mkdir", nth: 1, stage: StageContainment, containment: Cgroup},
		{op: "opendir", nth: 1, stage: StageContainment, containment: Cgroup},
		{op: "subreaper", nth: 1, inShim: true, stage: StageContainment, containment: Subreaper},
		{op: "subreaper", nth: 1, inShim: true, stage: StageContainment, containment: Cgroup},
		{op: "mount", nth: 1, inShim: true, stage: StageContainment, containment: PIDNS},
		{op: "fork", nth: 1, inShim: true, containment: Subreaper},
		{op: "fork", nth: 1, inShim: true, containment: Cgroup},
		{op: "fork", nth: 1, inShim: true, containment: PIDNS},
		{op: "fork", nth: 1, inShim: true, containment: Group},
		{op: "socketpair", nth: 1, inShim: true, stage: StageFork, containment: Subreaper, limits: true},
		{op: "fork", nth: 1, inShim: true, containment: Subreaper, limits: true},
	} {
		for _, errno := range errnos {
			t.Run(fmt.Sprintf("%s-%d-%s-%v-%d", step.op, step.nth, step.containment, step.inShim, errno), func(t *testing.T) {
				if c := step.containment; c != "" {
					cmd := Command("true")
					cmd.Containment = c
					leaktest.Need(t, "containment "+string(c), cmd.Run())
				}
				leaktest.Check(t)
				if step.inShim {
					old := shim.Env
					shim.Env = append(append([]string{}, old...), fmt.Sprintf("%s=%s:%d:%d", faultEnv, step.op, errno, step.nth))
					defer func() { shim.Env = old }()
				} else {
					sys.Fault = failing(step.op, errno, step.nth)
					defer func() { sys.Fault = nil }()
				}
				cmd := Command("true") // Stdin is opened, the outputs are pipes
				cmd.Containment = step.containment
				if step.limits {
					cmd.Rlimits = []Rlimit{{Resource: 4, Soft: 0, Hard: 0}}
				}
				mustFail(t, cmd, errno, step.stage)
			})
		}
	}
}

// mustFail wants a start to fail with an errno, at a stage where one is named.
func mustFail(t *testing.T, cmd *Cmd, errno syscall.Errno, stage Stage) {
	t.Helper()
	_, err := cmd.pipesAndStart()
	start, ok := errors.AsType[*StartError](err)
	if !ok || !errors.Is(err, errno) {
		t.Fatalf("got %v, want a StartError with %v", err, errno)
	}
	if stage != "" && start.Stage != stage {
		t.Errorf("stage %s, want %s: %v", start.Stage, stage, err)
	}
}

// pipesAndStart starts with outputs that need a pipe each.
func (c *Cmd) pipesAndStart() (*Tree, error) {
	c.Stdout, c.Stderr = new(excerpt), new(excerpt)
	t, err := c.Start()
	if err == nil {
		_, _ = t.Wait() // the fault was missed: told above
	}
	return t, err
}

func TestAutoGoesOnWithoutACgroup(t *testing.T) {
	leaktest.Check(t)
	defer cgroupUnusable.Store(cgroupUnusable.Load())
	for _, f := range []struct {
		op     string
		inShim bool
	}{{"mkdir", false}, {"fork", true}} {
		cgroupUnusable.Store(false)
		if f.inShim {
			cmd := Command("true")
			cmd.Containment = Cgroup
			leaktest.Need(t, "a cgroup, for the second half", cmd.Run())
		}
		if f.inShim {
			old := shim.Env
			shim.Env = append(append([]string{}, old...), fmt.Sprintf("%s=%s:%d:1,try%s:%d:1", faultEnv, f.op, syscall.EACCES, f.op, syscall.EACCES))
			defer func() { shim.Env = old }()
		} else {
			sys.Fault = failing(f.op, syscall.EACCES, 1)
		}
		tree, err := Command("true").Start()
		sys.Fault = nil
		if err != nil {
			t.Fatalf("%s: %v", f.op, err)
		}
		if tree.Containment() != Subreaper && autoLevel.String() == "cgroup" {
			t.Errorf("%s: the containment is %s, want the subreaper", f.op, tree.Containment())
		}
		if _, err := tree.Wait(); err != nil {
			t.Error(err)
		}
	}
}
