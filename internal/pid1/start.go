package pid1

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/shim"
	"github.com/foster-init/foster/internal/sys"
)

// lookup finds a program as execvp(3) does. A file that is there and can't be
// executed is told of only where no other is found.
func lookup(name, path string, stat func(string) (fs.FileInfo, error)) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	err := error(syscall.ENOENT)
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			dir = "."
		}
		file := dir + "/" + name
		info, failed := stat(file)
		switch {
		case errors.Is(failed, fs.ErrPermission):
			err = syscall.EACCES
		case failed != nil || name == "":
		case info.IsDir() || info.Mode()&0o111 == 0:
			err = syscall.EACCES
		default:
			return file, nil
		}
	}
	return "", err
}

// defaultPath is where execvp(3) looks without a PATH.
const defaultPath = "/bin:/usr/bin"

// start starts the command. Its parent is this process.
func (r *runner) start() (*foster.Tree, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("an init needs Linux: %w on this system", errors.ErrUnsupported)
	}
	path, ok := os.LookupEnv("PATH")
	if !ok {
		path = defaultPath
	}
	file, err := lookup(r.o.Command[0], path, os.Stat)
	if err != nil {
		return nil, &foster.StartError{Stage: foster.StageExec, Path: r.o.Command[0], Err: err}
	}
	shim.RunInside(r.reaped)
	passed := inherited()
	tree, err := r.startOn(file, r.o.Command, passed)
	if r.o.ShellScript && errors.Is(err, syscall.ENOEXEC) {
		shell := append([]string{"/bin/sh", file}, r.o.Command[1:]...)
		tree, err = r.startOn(shell[0], shell, passed)
	}
	for _, f := range passed {
		if f != nil {
			f.Close() // what the init was started with isn't for the init to hold open
		}
	}
	return tree, err
}

// startOn starts a program with the terminal, or without where it can't be had.
func (r *runner) startOn(file string, args []string, passed []*os.File) (*foster.Tree, error) {
	terminal := r.terminal.forCommand()
	tree, err := r.command(file, args, passed, terminal).Start()
	if err != nil && terminal != nil {
		tree, err = r.command(file, args, passed, nil).Start()
	}
	return tree, err
}

func (r *runner) command(file string, args []string, passed []*os.File, terminal *os.File) *foster.Cmd {
	c := &foster.Cmd{
		Path: file, Args: args, Stdin: r.stdin, Stdout: r.stdout, Stderr: r.stderr, ExtraFiles: passed,
		Setsid: r.o.Session, Terminal: terminal, KeepTerminal: true,
		// The first process of a PID namespace needs neither prctl nor /proc to hold
		// and to end all of it.
		Containment: foster.PIDNS,
	}
	if os.Getpid() != 1 {
		c.Containment = foster.Subreaper
	}
	return c
}

// inherited are the descriptors from 3 up that the init was started with: they are
// for the command.
func inherited() (files []*os.File) {
	for _, fd := range sys.Inherited() {
		for len(files) < fd-3 {
			files = append(files, nil)
		}
		files = append(files, os.NewFile(uintptr(fd), "inherited"))
	}
	return files
}

// startStatus is the exit status of a start that failed.
func (d Dialect) startStatus(err error) int {
	start, ok := errors.AsType[*foster.StartError](err)
	exec := ok && start.Stage == foster.StageExec
	switch {
	case d == DumbInit && exec:
		return 2
	case d == DumbInit:
		return 1
	case exec && errors.Is(err, syscall.ENOENT):
		return exitNotFound
	case exec && (d == Native || errors.Is(err, syscall.EACCES)):
		return exitCannotRun
	case d == Tini:
		return 1
	}
	return exitFoster
}
