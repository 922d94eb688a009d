package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/foster-init/foster/internal/sys"
)

// foster run --detach is two processes: the one that was typed, which ends when the
// tree runs, and its monitor, which is foster run in a session of its own.

// detach starts the monitor of a foster run, and tells the tree's name, or what the
// monitor says.
func detach(args []string, form string, stdout, stderr io.Writer) error {
	said, err := startMonitor("run", args, nil, inherited())
	if err != nil {
		return err
	}
	return heed(said, form, stdout, stderr)
}

// startMonitor starts this program once more in a session of its own, and returns what
// that one says of its start. Its standard error is a file, or nil: nowhere.
func startMonitor(verb string, args []string, stderr *os.File, more []*os.File) (said []byte, err error) {
	exe, err := sys.Executable()
	if err != nil {
		return nil, err
	}
	null, err := sys.OpenNull(os.O_RDWR)
	if err != nil {
		return nil, err
	}
	defer null.Close()
	r, w, err := sys.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if stderr == nil {
		stderr = null
	}
	files := append([]*os.File{null, null, stderr}, more...)
	fd := len(files)
	files = append(files, w)
	argv := append([]string{os.Args[0], verb, "--monitor", strconv.Itoa(fd)}, args...)
	p, err := sys.StartProcess(exe, argv, &os.ProcAttr{Files: files, Env: os.Environ(), Sys: &syscall.SysProcAttr{Setsid: true}})
	w.Close()
	if err != nil {
		return nil, fmt.Errorf("start the monitor: %w", err)
	}
	defer p.Release()
	return io.ReadAll(r)
}

// heed reads what a monitor has said: a status, and the tree's name or the error.
func heed(said []byte, form string, stdout, stderr io.Writer) error {
	first, rest, ok := bytes.Cut(said, []byte("\n"))
	status, err := strconv.Atoi(string(first))
	if !ok || err != nil {
		return errors.New("the monitor ended before it had started the tree")
	}
	switch {
	case status != 0:
		if _, err := stderr.Write(rest); err != nil {
			return err
		}
		return statusError(status)
	case form == "json":
		return writeJSON(stdout, detached{strings.TrimSpace(string(rest))})
	}
	_, err = stdout.Write(rest)
	return err
}

// detached is what foster run --detach prints; its keys are kept.
type detached struct {
	ID string `json:"id"`
}

// monitorPipe is where a monitor tells, once, how the start went.
type monitorPipe struct{ w *os.File }

// started tells the tree's name.
func (m *monitorPipe) started(id string) {
	if m != nil && m.w != nil {
		fmt.Fprintf(m.w, "0\n%s\n", id)
		m.w.Close()
		m.w = nil
	}
}

// failed tells an error, as it would have been told on a terminal.
func (m *monitorPipe) failed(err error) {
	if m != nil && m.w != nil {
		var text strings.Builder
		status := complain(&text, err)
		fmt.Fprintf(m.w, "%d\n%s", status, text.String())
		m.w.Close()
		m.w = nil
	}
}
