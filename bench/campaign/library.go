//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/foster-init/foster"
)

func init() { roles["library"] = library }

// order is what the library program is asked for.
type order struct {
	Share   bool
	Trees   int
	Command []string
	Contain string
	Stop    time.Duration
	Lease   time.Duration
	Grace   time.Duration
	Scope   string
	Until   string
	Loss    string
}

// library is the role of an owner that uses the library: "ORDER", as JSON. SIGTERM stops its
// trees. Its exit status is that of foster run.
func library(args []string) int {
	var o order
	if err := json.Unmarshal([]byte(args[0]), &o); err != nil {
		return 2
	}
	if o.Share {
		if err := foster.Share(100); err != nil {
			fmt.Fprintln(os.Stderr, "library:", err)
			return 125
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	statuses := make([]int, max(o.Trees, 1))
	var wg sync.WaitGroup
	for i := range statuses {
		wg.Go(func() { statuses[i] = o.run(ctx) })
	}
	wg.Wait()
	_ = foster.Share(0) // it ends
	return statuses[0]
}

func (o order) run(ctx context.Context) int {
	cmd := foster.CommandContext(ctx, o.Command[0], o.Command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Containment = foster.Containment(o.Contain)
	cmd.Stop = foster.StopPlan{Timeout: o.Stop, Scope: foster.Scope(o.Scope)}
	cmd.Lease.Time, cmd.Grace = o.Lease, o.Grace
	cmd.Until, cmd.OnLeaderLoss = foster.Until(o.Until), foster.LossPolicy(o.Loss)
	err := cmd.Run()
	if err != nil {
		fmt.Fprintln(os.Stderr, "library:", err)
	}
	x := cmd.Exit
	switch {
	case x != nil && len(x.Survivors) > 0:
		return 123
	case x != nil && x.Cause == foster.CauseExpired:
		return 124
	case x == nil || x.Cause == foster.CauseShimLost || !x.Leader.Known:
		return 125
	case x.Leader.Signal != 0:
		return 128 + int(x.Leader.Signal)
	case x.Leader.Code == 0 && x.Cause == foster.CauseLeaderLostFail:
		return 1
	}
	return x.Leader.Code
}
