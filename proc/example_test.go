package proc_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/foster-init/foster/proc"
)

// Who is an orphan on this machine, and why.
func ExampleTable_Orphans() {
	table, err := proc.Take(proc.ForOrphans)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range table.Orphans() {
		fmt.Println(o.Process.PID, o.Process.CommandLine(), o.Verdict, o.Reasons)
	}
}

// Which parents neglect their zombies: two snapshots tell late from never.
func ExampleTable_Zombies() {
	before, err := proc.Take(proc.ForZombies)
	if err != nil {
		fmt.Println(err)
		return
	}
	<-time.After(10 * time.Millisecond)
	table, err := proc.Take(proc.ForZombies)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, n := range table.Follow(before).Zombies() {
		fmt.Println(n.PID, len(n.Zombies), n.Habit, n.Told)
	}
}

// A signal that can't reach another process, and a wait for one that needn't be a
// child.
func ExampleID_Signal() {
	cmd := exec.Command("sleep", "1000")
	if err := cmd.Start(); err != nil {
		fmt.Println(err)
		return
	}
	id, err := proc.IDOf(cmd.Process.Pid)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(id.Signal(syscall.SIGTERM), id.Wait(context.Background()))
	_ = cmd.Wait() // reaps it
	fmt.Println(proc.ErrGone, id.Alive())
	// Output:
	// <nil> <nil>
	// the process is gone false
}

// The descendants of a process, as a tree.
func ExampleTable_Walk() {
	table, err := proc.Take(proc.Args)
	if err != nil {
		fmt.Println(err)
		return
	}
	table.Walk(os.Getpid(), func(p *proc.Process, depth int) bool {
		fmt.Printf("%*s%d %s\n", 2*depth, "", p.PID, p.CommandLine())
		return true
	})
}
