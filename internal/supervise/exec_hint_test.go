package supervise

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// foreign is a program of this machine's kind, for an architecture that it hasn't.
func foreign(t *testing.T) []byte {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(exe)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	head := make([]byte, 4096)
	if _, err := f.Read(head); err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint16(head[18:], uint16(elf.EM_SPARCV9))
	// Without sections, so that the file needs no more than its head.
	copy(head[40:48], make([]byte, 8))
	copy(head[58:64], make([]byte, 6))
	return head
}

// What isn't started is told with what the file of the program shows, in the cause of the
// failure, and for a hook.
func TestAFailedStartSaysWhatItsFileShows(t *testing.T) {
	dir := t.TempDir()
	files := map[string]struct {
		content []byte
		mode    os.FileMode
		want    string
	}{
		"crlf.sh":    {[]byte("#!/bin/sh\r\necho\r\n"), 0o755, `its lines end in CR LF, as on Windows`},
		"gone.sh":    {[]byte("#!/no/such/interpreter -x\n"), 0o755, "its interpreter, /no/such/interpreter in its first line, doesn't exist"},
		"unended.sh": {[]byte("#!/no/such"), 0o755, "its interpreter, /no/such in its first line, doesn't exist"},
		"plain.sh":   {[]byte("#!/bin/sh\n"), 0o644, "it isn't executable: chmod +x " + dir + "/plain.sh"},
		"none.sh":    {[]byte("echo\n"), 0o755, "begin it with #!/bin/sh"},
		"empty":      {nil, 0o755, "the file is empty"},
		"cut":        {[]byte("\x7fELF\x02\x01\x01"), 0o755, "its ELF header is broken"},
		"tool.exe":   {[]byte("MZ\x90\x00"), 0o755, "it is a program for Windows"},
		"notes.txt":  {[]byte("#!/etc/passwd\n"), 0o755, "its interpreter, /etc/passwd in its first line, isn't executable"},
	}
	if runtime.GOOS == "linux" && bytes.HasPrefix(foreign(t), []byte(elf.ELFMAG)) {
		files["foreign"] = struct {
			content []byte
			mode    os.FileMode
			want    string
		}{foreign(t), 0o755, "it was built for another architecture (sparcv9), and this machine is " + runtime.GOARCH}
	}
	for name, f := range files {
		if err := os.WriteFile(filepath.Join(dir, name), f.content, f.mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir(dir+"/folder", 0o755), os.Symlink("nowhere", dir+"/link")); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"folder": dir + "/folder is a directory", "link": "it is a symbolic link to nowhere, which doesn't exist"} {
		if got := ExecHint("./"+name, dir); got != want {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, f := range files {
		t.Run(name, func(t *testing.T) {
			leaktest.Check(t)
			app := script("app", "")
			app.Command, app.Dir = []string{"./" + name}, dir
			s := New(oneApp(app), Options{State: t.TempDir()})
			end := run(t, s)
			i := awaitState(t, s, "app", client.Failed)
			if !strings.Contains(i.Cause, f.want) || !strings.Contains(i.NotStarted, f.want) {
				t.Errorf("%q, %q; want %q", i.Cause, i.NotStarted, f.want)
			}
			if err := end(); err != nil {
				t.Fatal(err)
			}
			err := runHook(t.Context(), &app, "pre_start", app.Command)
			if _, ok := errors.AsType[*foster.StartError](err); !ok || !strings.Contains(err.Error(), f.want) {
				t.Errorf("hook: %v", err)
			}
		})
	}
}
