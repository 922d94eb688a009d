package supervise

import (
	"bufio"
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/sys"
)

// ExecHint says why the kernel doesn't execute a program, as far as its file shows it, and
// what can be done. A relative path is one of the folder. "": the file shows nothing.
func ExecHint(path, dir string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if to, lerr := os.Readlink(path); lerr == nil {
			return fmt.Sprintf("it is a symbolic link to %s, which doesn't exist", to)
		}
		return ""
	case err != nil:
		return "" // who may not look there can't say
	case info.IsDir():
		return path + " is a directory"
	case !info.Mode().IsRegular():
		return path + " isn't a regular file"
	case info.Mode()&0o111 == 0:
		return "it isn't executable: chmod +x " + path
	case sys.NoExec(path):
		return "its file system is mounted with noexec: no program of it can be executed"
	}
	// It may be another file by now: who can write the folder could have root wait for a FIFO.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	line, err := bufio.NewReader(io.LimitReader(f, 256)).ReadBytes('\n')
	switch {
	case len(line) == 0:
		return "the file is empty"
	case bytes.HasPrefix(line, []byte(elf.ELFMAG)):
		return elfHint(f)
	case bytes.HasPrefix(line, []byte("MZ")):
		return "it is a program for Windows"
	case !bytes.HasPrefix(line, []byte("#!")):
		return "it is neither a program of this system nor a script with an interpreter: begin it with #!/bin/sh"
	}
	if err == nil { // the line is whole
		line = bytes.TrimSuffix(line, []byte("\n"))
	}
	return interpreterHint(path, dir, string(line[2:]))
}

// interpreterHint looks at the interpreter of a script.
func interpreterHint(path, dir, line string) string {
	words := strings.Fields(strings.TrimSuffix(line, "\r"))
	if len(words) == 0 {
		return "its first line names no interpreter: begin it with #!/bin/sh"
	}
	interpreter := words[0]
	if strings.HasSuffix(line, "\r") && len(words) == 1 {
		return fmt.Sprintf("its lines end in CR LF, as on Windows, so its interpreter is %q, which doesn't exist: sed -i 's/\\r$//' %s", interpreter+"\r", path)
	}
	if !filepath.IsAbs(interpreter) {
		interpreter = filepath.Join(dir, interpreter)
	}
	info, err := os.Stat(interpreter)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Sprintf("its interpreter, %s in its first line, doesn't exist", interpreter)
	case err == nil && (info.IsDir() || info.Mode()&0o111 == 0):
		return fmt.Sprintf("its interpreter, %s in its first line, isn't executable", interpreter)
	}
	return ""
}

// machines are the names of Go for those of ELF.
var machines = map[string]elf.Machine{
	"amd64": elf.EM_X86_64, "386": elf.EM_386, "arm64": elf.EM_AARCH64, "arm": elf.EM_ARM, "riscv64": elf.EM_RISCV,
	"ppc64": elf.EM_PPC64, "ppc64le": elf.EM_PPC64, "s390x": elf.EM_S390, "loong64": elf.EM_LOONGARCH, "mips64le": elf.EM_MIPS, "mips64": elf.EM_MIPS,
}

// elfHint looks for whom a program was built, and at its dynamic linker.
func elfHint(f io.ReaderAt) string {
	program, err := elf.NewFile(f)
	if err != nil {
		return "its ELF header is broken: the file may be cut short"
	}
	own, known := machines[runtime.GOARCH]
	both := own == elf.EM_X86_64 && program.Machine == elf.EM_386 // a kernel may run both
	if known && program.Machine != own && !both {
		return fmt.Sprintf("it was built for another architecture (%s), and this machine is %s",
			strings.ToLower(strings.TrimPrefix(program.Machine.String(), "EM_")), runtime.GOARCH)
	}
	for _, p := range program.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		name, err := io.ReadAll(p.Open())
		linker := string(bytes.TrimRight(name, "\x00"))
		if err != nil || linker == "" {
			continue
		}
		if _, err := os.Stat(linker); errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("its interpreter, the dynamic linker %s, doesn't exist: it was built for another system", linker)
		}
	}
	return ""
}

// StartStatus is the exit status for a command that wasn't started: 127 where the program
// wasn't found, 126 where it can't be executed, 125 for all else.
func StartStatus(err error) int {
	start, ok := errors.AsType[*foster.StartError](err)
	_, hook := errors.AsType[*hookError](err)
	program := ok && !hook && (start.Stage == foster.StageLookup || start.Stage == foster.StageExec)
	switch {
	case !hook && errors.Is(err, exec.ErrNotFound), program && errors.Is(err, fs.ErrNotExist):
		return 127
	case !hook && errors.Is(err, exec.ErrDot), program:
		return 126
	}
	return 125
}

// withHint adds to the error of a command of an application what the file of the program
// shows.
func withHint(spec *config.App, err error) error {
	start, ok := errors.AsType[*foster.StartError](err)
	if !ok || start.Stage != foster.StageExec {
		return err
	}
	hint := ExecHint(start.Path, spec.Dir)
	if hint == "" && errors.Is(start.Err, fs.ErrPermission) && spec.User != "" {
		hint = fmt.Sprintf("user %s may not execute it, or not look into one of its folders", spec.User)
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}
