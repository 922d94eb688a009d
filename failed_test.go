package foster_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/leaktest"
)

// What a start that failed leaves for the next ones: nothing.

func TestAProgramThatCantBeExecutedTakesTheCgroupFromNobody(t *testing.T) {
	leaktest.Need(t, "cgroup", canHave(foster.Cgroup))
	leaktest.Check(t)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []foster.Containment{foster.Auto, foster.Cgroup} {
		for _, path := range []string{plain, filepath.Dir(plain)} {
			cmd := foster.Command(path)
			cmd.Containment = c
			_, err := cmd.Start()
			failed, ok := errors.AsType[*foster.StartError](err)
			if !ok || failed.Stage != foster.StageExec || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("%s in %q: %v", path, c, err)
			}
		}
	}
	tree, err := foster.Command("true").Start()
	if err != nil {
		t.Fatal(err)
	}
	if c := tree.Containment(); c != foster.Cgroup {
		t.Errorf("the next tree is in a %s", c)
	}
	if _, err := tree.Wait(); err != nil {
		t.Error(err)
	}
}

func TestAFileThatIsClosedCostsNoShim(t *testing.T) {
	trees := shared(t, 1, "block", "block")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	w.Close()
	cmd := foster.Command("true")
	cmd.Containment, cmd.ExtraFiles = foster.Cgroup, []*os.File{r}
	if _, err := cmd.Start(); err == nil {
		t.Fatal("it was started with a file that is closed")
	}
	tree, _ := begin(t, foster.Cgroup, nil, "block")
	if shimOf(t, tree) != shimOf(t, trees[0]) {
		t.Error("the shim takes no more trees")
	}
	stop(t, tree)
	stop(t, trees[0])
}

func TestAFolderThatWasRemovedIsMadeAgain(t *testing.T) {
	leaktest.Check(t)
	for _, variable := range []string{"XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
		t.Run(variable, func(t *testing.T) {
			for _, v := range []string{"XDG_STATE_HOME", "XDG_RUNTIME_DIR"} {
				t.Setenv(v, t.TempDir())
			}
			for n := range 2 {
				cmd := foster.Command("true")
				cmd.ID = "named"
				if err := cmd.Run(); err != nil {
					t.Fatalf("start %d: %v", n, err)
				}
				if err := os.RemoveAll(filepath.Join(os.Getenv(variable), "foster")); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
