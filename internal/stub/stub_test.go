//go:build linux && (amd64 || arm64)

package stub

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"github.com/foster-init/foster/internal/hosttest"
)

// compiler is the version of gcc by which the programs here were built (Debian 12).
const compiler = "12.2.0"

// TestProgramsAreBuiltFromTheirSource builds each again. Another compiler makes other bytes.
func TestProgramsAreBuiltFromTheirSource(t *testing.T) {
	for arch, cc := range map[string]string{"amd64": "x86_64-linux-gnu-gcc", "arm64": "aarch64-linux-gnu-gcc"} {
		t.Run(arch, func(t *testing.T) {
			version, err := exec.Command(cc, "-dumpfullversion").Output()
			if v := strings.TrimSpace(string(version)); err == nil && v != compiler {
				err = fmt.Errorf("%s has version %s, want %s", cc, v, compiler)
			}
			hosttest.Unless(t, hosttest.StubCompiler, err)
			dir := t.TempDir()
			if err := os.CopyFS(dir, os.DirFS(".")); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("sh", filepath.Join(dir, "build.sh"), arch).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			name := "stub_linux_" + arch
			kept, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			built, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil || !bytes.Equal(kept, built) {
				t.Errorf("%s isn't what its source gives, %v: run build.sh", name, err)
			}
		})
	}
}

// TestSizesAreThoseOfTheSource: the tests with real processes find each field in its place.
func TestSizesAreThoseOfTheSource(t *testing.T) {
	const asserted = "_Static_assert(sizeof(struct config) == 1544 && sizeof(struct state) == 128"
	source, err := os.ReadFile("c/stub.c")
	if err != nil || !bytes.Contains(source, []byte(asserted)) {
		t.Errorf("c/stub.c doesn't say %q, %v", asserted, err)
	}
	if c, s := unsafe.Sizeof(Config{}), unsafe.Sizeof(State{}); c != 1544 || s != 128 {
		t.Errorf("a config has %d bytes, a state %d; want 1544 and 128", c, s)
	}
	if runtime.GOARCH == "amd64" && len(program) > 8<<10 {
		t.Errorf("the stub has %d bytes, and is to be small", len(program))
	}
}
