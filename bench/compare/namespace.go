package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// A task is work that is done in a PID namespace of its own, with a process 1 that reaps:
// whatever goes wrong in it, nothing outside is signalled, and the kernel ends all of it.
type task struct {
	Row     string
	Peers   []string
	N       int
	Quick   bool
	NoReap  bool   // process 1 leaves zombies alone until it ends
	Dir     string // a tmpfs
	Scene   string // of the zoo
	Timeout time.Duration
}

// A sample is one measured value.
type sample struct {
	Figure, Peer string
	N            int
	Value        float64
}

const roleVariable = "FOSTER_COMPARE_ROLE"

// inNamespace does a task and returns what was measured.
func inNamespace(ctx context.Context, t task) ([]sample, error) {
	dir, err := os.MkdirTemp("", "foster-compare-")
	if err != nil {
		return nil, err
	}
	defer os.Remove(dir) // empty: its content was in the namespace
	t.Dir = dir
	input, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, t.Timeout)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "/proc/self/exe")
	cmd.Env = append(os.Environ(), roleVariable+"=init")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), &stdout, &stderr
	cmd.WaitDelay = 5 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if uid, gid := os.Geteuid(), os.Getegid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	}
	group, err := makeCgroup("foster-compare-" + filepath.Base(dir))
	if err == nil {
		defer group.remove()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.dir.Fd())
	}
	runtime.LockOSThread() // Pdeathsig follows the thread
	defer runtime.UnlockOSThread()
	err = cmd.Run()
	if ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("not done in %s", t.Timeout)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
	}
	var samples []sample
	if err := json.Unmarshal(stdout.Bytes(), &samples); err != nil {
		return nil, fmt.Errorf("what was measured: %w", err)
	}
	return samples, nil
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// inside is what this program does in a namespace, if that is what it was started for.
func inside(role string) error {
	if role == "init" {
		return serveAsInit()
	}
	var t task
	if err := json.NewDecoder(os.Stdin).Decode(&t); err != nil {
		return err
	}
	samples, err := rows[t.Row].work(t)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(samples)
}

// serveAsInit makes the namespace ready, starts this program once more, and reaps until
// that ends. It ends the namespace with itself.
func serveAsInit() error {
	input := new(bytes.Buffer)
	if _, err := input.ReadFrom(os.Stdin); err != nil {
		return err
	}
	var t task
	if err := json.Unmarshal(input.Bytes(), &t); err != nil {
		return err
	}
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
		data                 string
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE, ""},
		{"proc", "/proc", "proc", syscall.MS_NOSUID | syscall.MS_NODEV | syscall.MS_NOEXEC, ""},
		{"tmpfs", t.Dir, "tmpfs", syscall.MS_NOSUID | syscall.MS_NODEV, "size=2g,mode=755"},
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("mount %s: %w", m.target, err)
		}
	}
	env := os.Environ()
	for name, folder := range map[string]string{"HOME": "home", "XDG_STATE_HOME": "state", "XDG_RUNTIME_DIR": "run", "PM2_HOME": "pm2"} {
		if err := os.Mkdir(filepath.Join(t.Dir, folder), 0o700); err != nil {
			return err
		}
		env = append(env, name+"="+filepath.Join(t.Dir, folder))
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	if _, err := w.Write(input.Bytes()); err != nil {
		return err
	}
	w.Close()
	pid, err := syscall.ForkExec("/proc/self/exe", []string{"compare"}, &syscall.ProcAttr{
		Dir: t.Dir, Env: append(env, roleVariable+"=work"), Files: []uintptr{r.Fd(), 1, 2},
	})
	if err != nil {
		return err
	}
	child := -1
	if t.NoReap {
		child = pid
	}
	for {
		var status syscall.WaitStatus
		reaped, err := syscall.Wait4(child, &status, 0, nil)
		if err != nil && err != syscall.EINTR {
			return err
		}
		if reaped == pid {
			os.Exit(status.ExitStatus())
		}
	}
}

// A cgroup holds a namespace, so that the cgroups that foster makes in it are found and
// removed.
type cgroup struct {
	path string
	dir  *os.File
}

// makeCgroup makes one below the one that this process is in.
func makeCgroup(name string) (*cgroup, error) {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(string(own)) {
		below, unified := strings.CutPrefix(strings.TrimSpace(line), "0::")
		for _, mounted := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
			path := filepath.Join(mounted, below, name)
			if !unified || os.Mkdir(path, 0o755) != nil {
				continue
			}
			if _, err := os.Stat(filepath.Join(path, "cgroup.kill")); err != nil {
				os.Remove(path)
				continue
			}
			dir, err := os.Open(path)
			return &cgroup{path, dir}, err
		}
	}
	return nil, fmt.Errorf("no cgroup of version 2 can be made here")
}

// kill ends all that is in it, and returns when it is empty.
func (c *cgroup) kill() error {
	if err := os.WriteFile(filepath.Join(c.path, "cgroup.kill"), []byte("1"), 0); err != nil {
		return err
	}
	for {
		events, err := os.ReadFile(filepath.Join(c.path, "cgroup.events"))
		if err != nil || bytes.Contains(events, []byte("populated 0")) {
			return err
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// remove ends what is in it, and removes it with those below it.
func (c *cgroup) remove() {
	_ = c.kill()
	c.dir.Close()
	var below []string
	_ = filepath.WalkDir(c.path, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			below = append(below, path)
		}
		return nil
	})
	for i := len(below) - 1; i >= 0; i-- {
		_ = os.Remove(below[i])
	}
}
