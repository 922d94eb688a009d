//go:build amd64 || arm64

package foster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/stub"
)

// parkVariable has this test binary, and the owners that it starts, park their shims.
const parkVariable = "FOSTER_TEST_PARK"

func init() { parkShims = os.Getenv(parkVariable) != "" }

// TestPromisesHoldWhereShimsPark runs promises once more where each shim is a stub until there
// is more to do than to reap.
func TestPromisesHoldWhereShimsPark(t *testing.T) {
	names := []string{
		"TestStopEndsLeaderAndGroup", "TestLeaderKilledRestStaysKnownAndIsStopped", "TestStopReapsDoubleForkedScrubbedGrandchild",
		"TestMembersThatIgnoreSignalsAreEndedAfterTheTimeout", "TestOwnerKilledTreeIsEnded", "TestShimKilledLibraryEndsTree",
		"TestBothKilledAtOnce", "TestLeaseOverIsAnOrderlyStopWithACauseOfItsOwn", "TestAWatchdogThatIsNoLongerCalledIsAnOrderlyStop",
		"TestOfManyClaimantsOneWins", "TestAnEndThatNobodySawIsToldToWhoClaimsIt", "TestReleasedProcessOutlivesTheTree",
		"TestExtraFiles", "TestCredential", "TestTheProgramBeginsClean", "TestRunReportsTheLeadersStatus",
	}
	cmd := exec.Command(os.Args[0], "-test.v", "-test.run", "^("+strings.Join(names, "|")+")$")
	cmd.Env = append(os.Environ(), parkVariable+"=1")
	out, err := cmd.CombinedOutput()
	ran := strings.Count("\n"+string(out), "\n--- PASS") + strings.Count("\n"+string(out), "\n--- SKIP") // for want of root
	if err != nil || ran != len(names) {
		t.Errorf("%d of %d ran, %v:\n%s", ran, len(names), err, out)
	}
}

// park has a test's shims park.
func park(t *testing.T) {
	t.Helper()
	old := parkShims
	parkShims = true
	t.Cleanup(func() { parkShims = old })
}

// TestAFaultAtAnyStageOfAStubLeavesNothing lets each stage of a start fail, with each error.
func TestAFaultAtAnyStageOfAStubLeavesNothing(t *testing.T) {
	park(t)
	for _, step := range []struct {
		at          int32
		stage       Stage
		containment Containment
		limits      bool
	}{
		{at: stub.AtMount, stage: StageContainment, containment: PIDNS},
		{at: stub.AtFork, stage: StageFork, containment: Subreaper},
		{at: stub.AtFork, stage: StageFork, containment: Group},
		{at: stub.AtFork, stage: StageFork, containment: Cgroup},
		{at: stub.AtFork, stage: StageFork, containment: PIDNS},
		{at: stub.AtSession, stage: StageAttributes, containment: Subreaper},
		{at: stub.AtCgroup, stage: StageContainment, containment: Cgroup},
		{at: stub.AtLimit, stage: StageRlimit, containment: Group, limits: true},
		{at: stub.AtLimit, stage: StageRlimit, containment: Cgroup, limits: true},
		{at: stub.AtExec, containment: Subreaper},
		{at: stub.AtExec, containment: Cgroup},
		{at: stub.AtExec, containment: PIDNS},
		{at: stub.AtExec, containment: Group},
	} {
		for _, errno := range []syscall.Errno{syscall.EAGAIN, syscall.ENOMEM, syscall.EPERM, syscall.ENOSYS} {
			t.Run(fmt.Sprintf("%d-%s-%d", step.at, step.containment, errno), func(t *testing.T) {
				cmd := Command("true")
				cmd.Containment = step.containment
				leaktest.Need(t, "containment "+string(step.containment), cmd.Run())
				if step.containment == PIDNS {
					hosttest.NeedRoot(t) // see shim.CanPark
				}
				leaktest.Check(t)
				shim.StubFault.At, shim.StubFault.With = step.at, int32(errno)
				defer func() { shim.StubFault.At = 0 }()
				cmd = Command("true")
				cmd.Containment = step.containment
				if step.limits {
					cmd.Rlimits = []Rlimit{{Resource: 4, Soft: 0, Hard: 0}}
				}
				mustFail(t, cmd, errno, step.stage)
			})
		}
	}
}

// TestAParkedShimIsSmallAndWakes: it is a stub as long as it has only to reap, and this
// executable, with the same number, as soon as there is more to do.
func TestAParkedShimIsSmallAndWakes(t *testing.T) {
	park(t)
	for _, c := range []Containment{Group, Subreaper, Cgroup, PIDNS} {
		t.Run(string(c), func(t *testing.T) {
			cmd := Command("true")
			cmd.Containment = c
			leaktest.Need(t, "containment "+string(c), cmd.Run())
			if c == PIDNS && os.Geteuid() != 0 {
				hosttest.NeedRoot(t) // see shim.CanPark
			}
			leaktest.Check(t)
			cmd = Command("sleep", "1000")
			cmd.Containment = c
			tree, err := cmd.Start()
			if err != nil {
				t.Fatal(err)
			}
			exe := fmt.Sprintf("/proc/%d/exe", tree.shimPID)
			if is, err := os.Readlink(exe); err != nil || !strings.HasPrefix(is, "/memfd:foster-shim") {
				t.Errorf("the shim is %q, %v; want the stub", is, err)
			}
			if err := tree.Signal(syscall.SIGCONT, ScopeLeader); err != nil {
				t.Error(err)
			}
			me, err := os.Executable()
			if is, lerr := os.Readlink(exe); err != nil || is != me {
				t.Errorf("the shim that was asked for something is %q, %v; want %q", is, lerr, me)
			}
			exit, err := tree.Stop(t.Context())
			if err != nil || exit.Leader.Signal != syscall.SIGTERM {
				t.Errorf("stopped: %+v, %v", exit.Leader, err)
			}
		})
	}
}
