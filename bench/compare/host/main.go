// Command host is a small program that uses package foster. The comparison measures the
// library in it: a large program would be measured with its own size, since a shim is
// the program started once more.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/foster-init/foster"
)

func main() {
	role, arguments := os.Args[1], os.Args[2:]
	var err error
	switch role {
	case "start":
		err = start(number(arguments[0]), number(arguments[1]))
	case "trees":
		err = trees(arguments[0], number(arguments[1]))
	case "stop":
		err = stop(foster.Containment(arguments[0]), arguments[1:])
	case "write":
		err = write(number(arguments[0]), arguments[1])
	case "library":
		err = library(arguments)
	case "exec":
		err = article(arguments)
	default:
		err = fmt.Errorf("no role %q", role)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "host:", err)
		os.Exit(1)
	}
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		panic(err)
	}
	return n
}

// ways are the ways in which a program can start another, by the names of the table.
var ways = []struct {
	name       string
	set, reset func() error
	run        func() error
}{
	{name: "os/exec", run: func() error { return exec.Command("true").Run() }},
	{name: "foster, no option set", run: func() error { return foster.Command("true").Run() }},
	{name: "foster, group", run: in(foster.Group)},
	{name: "foster, subreaper", run: in(foster.Subreaper)},
	{name: "foster, cgroup", run: in(foster.Cgroup)},
	{name: "foster, pidns", run: in(foster.PIDNS)},
	{name: "foster, KeepReady", set: func() error { return foster.KeepReady(1) }, reset: func() error { return foster.KeepReady(0) },
		run: func() error { return foster.Command("true").Run() }},
	{name: "foster, Share", set: func() error { return foster.Share(100) }, reset: func() error { return foster.Share(0) },
		run: in(foster.Cgroup)},
}

func in(c foster.Containment) func() error {
	return func() error {
		cmd := foster.Command("true")
		cmd.Containment = c
		return cmd.Run()
	}
}

// start prints how long each way takes from start to exit of true, in turn, in seconds.
func start(heapMB, times int) error {
	heap := make([]byte, heapMB<<20)
	for i := 0; i < len(heap); i += 4096 {
		heap[i] = 1
	}
	took := map[string][]float64{}
	for range times {
		for _, w := range ways {
			if w.set != nil {
				if err := w.set(); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
				_ = w.run() // the first one makes the shim
			}
			begin := time.Now()
			err := w.run()
			if took[w.name] = append(took[w.name], time.Since(begin).Seconds()); err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if w.reset != nil {
				if err := w.reset(); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
		}
	}
	if heapMB > 0 && heap[0] != 1 {
		return io.ErrUnexpectedEOF // the heap has to live until here
	}
	return json.NewEncoder(os.Stdout).Encode(took)
}

// trees starts n idle trees when it reads a line, and ends with its standard input.
func trees(containment string, n int) error {
	line := make([]byte, 1)
	if _, err := os.Stdin.Read(line); err != nil {
		return err
	}
	if containment == "shared" {
		containment = string(foster.Cgroup)
		if err := foster.Share(n); err != nil {
			return err
		}
	}
	for range n {
		cmd := foster.Command("sleep", "31337")
		cmd.Containment = foster.Containment(containment)
		if _, err := cmd.Start(); err != nil {
			return err
		}
	}
	fmt.Println("started")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// stop runs a command, and when that has written a line, stops its tree and prints how
// long that took.
func stop(c foster.Containment, command []string) error {
	cmd := foster.Command(command[0], command[1:]...)
	cmd.Containment = c
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	tree, err := cmd.Start()
	if err != nil {
		return err
	}
	if _, err := stdout.Read(make([]byte, 100)); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := tree.StopWith(context.Background(), foster.KillAtOnce()); err != nil {
		return err
	}
	fmt.Println(time.Since(begin).Seconds())
	return nil
}

// write writes so many megabytes of lines of 100 bytes, and last a line that says "the
// end". The file gets when it began, and what time of a processor writing took.
func write(megabytes int, file string) error {
	begin := time.Now()
	line := append(bytes.Repeat([]byte("x"), 99), '\n')
	block := bytes.Repeat(line, 640)
	for n := megabytes * 1_000_000; n > 0; n -= len(block) {
		if _, err := os.Stdout.Write(block[:min(n, len(block))]); err != nil {
			return err
		}
	}
	if _, err := os.Stdout.WriteString("the end\n"); err != nil {
		return err
	}
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano())
	if err := os.WriteFile(file+".new", fmt.Appendf(nil, "%d %d", begin.UnixNano(), cpu.Nanoseconds()), 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// stopped is done when the program is told to end.
func stopped() context.Context {
	ctx, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	return ctx
}

// library runs a command by package foster, and stops it when it's told to end.
func library(command []string) error {
	cmd := foster.CommandContext(stopped(), command[0], command[1:]...)
	cmd.Stop.Timeout = time.Second
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

// article runs a command as programs often do it with os/exec: in a group of its own,
// which is killed when the context is done.
func article(command []string) error {
	cmd := exec.CommandContext(stopped(), command[0], command[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}
