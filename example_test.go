package foster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/foster-init/foster"
)

// A tree that may run for an hour is stopped when that is over, unless more was asked
// for in time.
func ExampleTree_Extend() {
	cmd := foster.Command("sleep", "1000")
	cmd.Lease = foster.Lease{Time: time.Hour, Max: 2 * time.Hour}
	tree, err := cmd.Start()
	if err != nil {
		log.Fatal(err)
	}
	if err := tree.Extend(90 * time.Minute); err != nil {
		log.Fatal(err)
	}
	err = tree.Extend(3 * time.Hour)
	fmt.Println("more than its bound:", errors.Is(err, syscall.EINVAL))
	left, limited, err := tree.Lease()
	fmt.Println(left.Round(time.Minute), limited, err)
	exit, err := tree.Stop(context.Background())
	fmt.Println(exit.Cause, err)
	// Output:
	// more than its bound: true
	// 1h30m0s true <nil>
	// stopped <nil>
}

// The program hears of the end of its lease by an event, and here lets it come.
func ExampleLease() {
	cmd := foster.Command("sleep", "1000")
	cmd.Lease = foster.Lease{Time: 600 * time.Millisecond, Warn: 500 * time.Millisecond}
	tree, err := cmd.Start()
	if err != nil {
		log.Fatal(err)
	}
	for e := range tree.Events(context.Background()) {
		switch e.Kind {
		case foster.EventLeaseEnding:
			fmt.Println("it ends soon:", e.Left <= cmd.Lease.Warn)
		case foster.EventLeaseOver:
			fmt.Println("it is over")
		}
	}
	exit, err := tree.Wait()
	fmt.Println(exit.Cause, exit.Leader, errors.Is(err, foster.ErrExpired))
	// Output:
	// it ends soon: true
	// it is over
	// expired signal: terminated true
}

// A program that has to call, and doesn't.
func ExampleCmd_watchdog() {
	cmd := foster.Command("sleep", "1000")
	cmd.Watchdog = 100 * time.Millisecond
	tree, err := cmd.Start()
	if err != nil {
		log.Fatal(err)
	}
	exit, err := tree.Wait()
	fmt.Println(exit.Cause, errors.Is(err, foster.ErrWatchdog))
	// Output:
	// watchdog true
}

// A tree whose owner has gone is claimed within its grace, with what it has written.
// The owner is another process, so that this one needn't end.
func ExampleAttach() {
	owner := exec.Command("sleep", "1000")
	if err := owner.Start(); err != nil {
		log.Fatal(err)
	}
	cmd := foster.Command("sh", "-c", "echo ready; exec sleep 1000")
	cmd.ID = "db"
	cmd.Owner, cmd.Grace = owner.Process.Pid, time.Minute
	cmd.KeepOutput = true
	first, err := cmd.Start()
	if err != nil {
		log.Fatal(err)
	}
	_, err = foster.Attach(context.Background(), "db")
	fmt.Println("it has an owner:", errors.Is(err, foster.ErrOwned))

	if err := errors.Join(owner.Process.Kill(), owner.Wait()); err == nil {
		log.Fatal("it was killed, and Wait didn't say so")
	}
	for e := range first.Events(context.Background()) {
		if e.Kind == foster.EventOwnerGone {
			fmt.Println("it waits for another:", e.Left)
			break
		}
	}
	tree, err := foster.Attach(context.Background(), "db", foster.WithOutput(os.Stdout, os.Stderr))
	if err != nil {
		log.Fatal(err)
	}
	exit, err := tree.Stop(context.Background())
	fmt.Println(exit.ID, exit.Cause, err)
	<-first.Done()
	// Unordered output:
	// it has an owner: true
	// it waits for another: 1m0s
	// ready
	// db stopped <nil>
}

// A name is one tree's at a time. How it ended stays to be asked for by foster wait.
func ExampleCmd_name() {
	start := func() (*foster.Tree, error) {
		cmd := foster.Command("sleep", "1000")
		cmd.ID, cmd.KeepExit = "nightly", true
		return cmd.Start()
	}
	tree, err := start()
	if err != nil {
		log.Fatal(err)
	}
	_, err = start()
	fmt.Println("taken:", errors.Is(err, foster.ErrTaken))
	if _, err := tree.Stop(context.Background()); err != nil {
		log.Fatal(err)
	}
	_, err = foster.Attach(context.Background(), "nightly")
	fmt.Println("over:", errors.Is(err, foster.ErrEnded))
	// Output:
	// taken: true
	// over: true
}

// Before a program starts its first tree, it ends what an earlier life of it left.
func ExampleRecover() {
	lost, problems, err := foster.Recover(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	for _, p := range problems {
		log.Print(p)
	}
	for _, r := range lost {
		fmt.Println(r.ID, "was lost:", len(r.Found), "left,", len(r.Survivors), "couldn't be ended", r.Err)
	}
	fmt.Println(len(lost), "lost trees")
	// Output:
	// 0 lost trees
}

// A command of exec.CommandContext is taken over with its Cancel and its WaitDelay.
func ExampleFrom() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	old := exec.CommandContext(ctx, "sh", "-c", "trap 'echo bye; exit 0' INT; echo up; while :; do sleep 0.01; done")
	old.Cancel = func() error { return old.Process.Signal(os.Interrupt) }
	old.WaitDelay = 5 * time.Second
	cmd := foster.From(ctx, old)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	defer stdout.Close()
	tree, err := cmd.Start()
	if err != nil {
		log.Fatal(err)
	}
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		fmt.Println(lines.Text())
		cancel()
	}
	exit, err := tree.Wait()
	fmt.Println(exit.Cause, exit.Leader, errors.Is(err, context.Canceled))
	// Output:
	// up
	// bye
	// canceled exit status 0 true
}

// What asks for an error of os/exec finds it.
func ExampleExitError() {
	err := foster.Command("sh", "-c", "exit 3").Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		fmt.Println(exit.ExitCode(), err)
	}
	// Output: 3 exit status 3
}
