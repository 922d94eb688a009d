package supervise

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/leaktest"
)

func TestAStartThatFailsByItsFolderNamesIt(t *testing.T) {
	leaktest.Check(t)
	cmd := foster.Command("/bin/true")
	cmd.Dir = "/no/such"
	_, err := cmd.Start()
	err = keyError(&config.App{Dir: cmd.Dir}, err)
	if want := "working_dir: /no/such: no such file or directory"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v, want %s", err, want)
	}
}
