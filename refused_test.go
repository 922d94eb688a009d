package foster_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are starts that fail.

// A refusal is a start that the system refuses, by a condition that is real.
type refusal struct {
	name  string
	set   func(*foster.Cmd)
	stage foster.Stage
	is    error
	says  string
}

// refusals are what the leader's process fails in, between fork and exec.
func refusals(t *testing.T) []refusal {
	t.Helper()
	dir := t.TempDir()
	plain, closed := filepath.Join(dir, "plain"), filepath.Join(dir, "closed")
	if err := errors.Join(os.WriteFile(plain, nil, 0o644), os.Mkdir(closed, 0o700)); err != nil {
		t.Fatal(err)
	}
	list := []refusal{
		{"a limit above what there can be", func(c *foster.Cmd) {
			c.Rlimits = append(c.Rlimits, foster.Rlimit{Resource: syscall.RLIMIT_NOFILE, Soft: 1 << 40, Hard: 1 << 40})
		}, foster.StageRlimit, syscall.EPERM, "rlimit: nofile=1099511627776: "},
		{"a file that isn't a program", func(c *foster.Cmd) { c.Path = plain },
			foster.StageExec, fs.ErrPermission, "exec " + plain + ": "},
	}
	if os.Getuid() != 0 {
		return append(list, refusal{"another user", func(c *foster.Cmd) { c.Credential = &syscall.Credential{} },
			foster.StageCredential, syscall.EPERM, "credential: "})
	}
	other := func(c *foster.Cmd) { c.Credential = &syscall.Credential{Uid: nobody, Gid: nobody} }
	return append(list,
		refusal{"a user that there can't be", func(c *foster.Cmd) {
			c.Credential = &syscall.Credential{Uid: math.MaxUint32, Gid: nobody}
		}, foster.StageCredential, syscall.EINVAL, "credential: "},
		refusal{"a directory that is closed to the user", func(c *foster.Cmd) { other(c); c.Dir = closed },
			foster.StageDir, fs.ErrPermission, "chdir "},
		refusal{"a program that is closed to the user", func(c *foster.Cmd) { other(c); c.Path = filepath.Join(closed, "program") },
			foster.StageExec, fs.ErrPermission, "exec " + closed})
}

func TestWhatTheSystemRefusesStartsNothingAndIsNamed(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		trace := filepath.Join(t.TempDir(), "trace")
		for _, r := range refusals(t) {
			for _, limits := range [][]foster.Rlimit{nil, {{Resource: syscall.RLIMIT_CORE, Soft: 0, Hard: 0}}} {
				cmd := foster.Command("/bin/sh", "-c", `: >"$0"`, trace)
				cmd.Containment, cmd.Rlimits = c, limits
				r.set(cmd)
				err := cmd.Run()
				start, ok := errors.AsType[*foster.StartError](err)
				if !ok || start.Stage != r.stage || !errors.Is(err, r.is) || !strings.Contains(err.Error(), r.says) {
					t.Errorf("%s, limits %v: %v; want %q at the stage %s", r.name, limits, err, r.says, r.stage)
				}
			}
		}
		if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v; want that nothing has run", trace, err)
		}
	})
}

// TestWithoutAPlaceForTheJournalOnlyWhoNeedsItIsRefused: a tree without a name is started.
func TestWithoutAPlaceForTheJournalOnlyWhoNeedsItIsRefused(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, variable := range []string{"XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
			t.Run(variable, func(t *testing.T) {
				t.Setenv(variable, file) // nobody can write below it, not even root
				trace := filepath.Join(t.TempDir(), "trace")
				touch := func(id string) error {
					cmd := foster.Command("/bin/sh", "-c", `: >"$0"`, trace)
					cmd.Containment, cmd.ID = c, id
					return cmd.Run()
				}
				err := touch("named")
				start, ok := errors.AsType[*foster.StartError](err)
				if !ok || start.Stage != foster.StageJournal || !strings.Contains(err.Error(), file) {
					t.Errorf("with a name: %v; want an error of the journal that names %s", err, file)
				}
				if _, err := os.Stat(trace); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: %v; want that nothing has run", trace, err)
				}
				if err := touch(""); err != nil {
					t.Errorf("without a name: %v", err)
				}
			})
		}
	})
}

func TestStartErrorsAreTyped(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	busy := write("busy", "", 0o755)
	b, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Fatal(err)
	}
	open, err := os.OpenFile(busy, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if _, err := open.Write(b); err != nil {
		t.Fatal(err)
	}
	command := func(path string, set func(*foster.Cmd)) *foster.Cmd {
		cmd := foster.Command(path)
		if set != nil {
			set(cmd)
		}
		return cmd
	}
	for name, c := range map[string]struct {
		cmd   *foster.Cmd
		stage foster.Stage
		is    error
	}{
		"not in PATH":     {command("no-such-program", nil), foster.StageLookup, exec.ErrNotFound},
		"no such file":    {command(filepath.Join(dir, "none"), nil), foster.StageExec, fs.ErrNotExist},
		"no interpreter":  {command(write("bad", "#!/no/such\n", 0o755), nil), foster.StageExec, fs.ErrNotExist},
		"not executable":  {command(write("plain", "", 0o644), nil), foster.StageExec, fs.ErrPermission},
		"no format":       {command(write("text", "echo\n", 0o755), nil), foster.StageExec, syscall.ENOEXEC},
		"being written":   {command(busy, nil), foster.StageExec, syscall.ETXTBSY},
		"no directory":    {command("/bin/true", func(c *foster.Cmd) { c.Dir = "/no/such" }), foster.StageDir, fs.ErrNotExist},
		"bad containment": {command("/bin/true", func(c *foster.Cmd) { c.Containment = "jar" }), foster.StageConfig, nil},
		"bad until":       {command("/bin/true", func(c *foster.Cmd) { c.Until = "noon" }), foster.StageConfig, nil},
		"bad policy":      {command("/bin/true", func(c *foster.Cmd) { c.OnLeaderLoss = "cry" }), foster.StageConfig, nil},
		"bad scope":       {command("/bin/true", func(c *foster.Cmd) { c.Stop.Scope = "all" }), foster.StageConfig, nil},
		"NUL":             {command("/bin/true", func(c *foster.Cmd) { c.Args = []string{"a\x00b"} }), foster.StageConfig, syscall.EINVAL},
		"bad limit": {command("/bin/true", func(c *foster.Cmd) {
			c.Rlimits = []foster.Rlimit{{Resource: 7, Soft: 10, Hard: 5}}
		}), foster.StageRlimit, syscall.EINVAL},
		"not found behind limits": {command(filepath.Join(dir, "none"), func(c *foster.Cmd) {
			c.Rlimits = []foster.Rlimit{{Resource: 4, Soft: 0, Hard: 0}}
		}), foster.StageExec, fs.ErrNotExist},
	} {
		err := c.cmd.Run()
		start, ok := errors.AsType[*foster.StartError](err)
		if !ok || start.Stage != c.stage || c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%s: got %#v (%v); want stage %s, %v", name, err, err, c.stage, c.is)
		}
	}
}
