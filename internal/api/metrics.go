package api

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/proc"
)

// ListenMetrics opens the listener of Prometheus. Without a host it is on the loopback
// interface only.
func ListenMetrics(address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("metrics: %q is no address: 127.0.0.1:9090 was expected", address)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return l, nil
}

// ServeMetrics answers who asks for /metrics, and for nothing else, until ctx is done. It
// closes the listener.
func ServeMetrics(ctx context.Context, l net.Listener, s Supervisor) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	own := &server{supervisor: s}
	h := newHTTP(life, serving([]route{{"GET", "/metrics", nil, own.metrics}}))
	h.ReadTimeout, h.WriteTimeout = patience, patience
	return serve(ctx, h, end, l)
}

// metrics tells the status and the counters in the text format of Prometheus.
func (s *server) metrics(w http.ResponseWriter, _ *http.Request) error {
	status := s.supervisor.Status()
	e := &exposition{}
	e.supervisor(status)
	e.process()
	e.instances(status)
	e.counters(s.supervisor.Counters())
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_, _ = w.Write(e.text) // who doesn't want the answer is gone
	return nil
}

func (e *exposition) supervisor(s client.Status) {
	e.family("foster_info", gauge, "The supervisor: its project and its version.")
	e.sample(1, "project", s.Project, "version", s.Version)
	e.family("foster_start_time_seconds", gauge, "When the supervisor began, since the epoch.")
	e.sample(seconds(s.Started))
	e.family("foster_problems", gauge, "How many things keep the supervisor from working as it should.")
	e.sample(float64(len(s.Problems)))
	e.family("foster_events_total", counter, "Events, also those of earlier lives of the supervisor.")
	e.sample(float64(s.Seq))
}

// process tells of the supervisor's own process, by the names that all exporters use.
func (e *exposition) process() {
	e.family("go_goroutines", gauge, "Number of goroutines that currently exist.")
	e.sample(float64(runtime.NumGoroutine()))
	table, err := proc.Take(0)
	if err != nil {
		return
	}
	if p := table.Get(os.Getpid()); p != nil {
		e.family("process_cpu_seconds_total", counter, "Total user and system CPU time spent in seconds.")
		e.sample((p.User + p.System).Seconds())
		e.family("process_resident_memory_bytes", gauge, "Resident memory size in bytes.")
		e.sample(float64(p.Resident))
	}
}

// states are all states of an instance.
var states = []client.State{
	client.Stopped, client.Waiting, client.Starting, client.Running, client.LeaderLost, client.Stopping,
	client.Stuck, client.Backoff, client.Scheduled, client.Completed, client.Failed,
}

func (e *exposition) instances(s client.Status) {
	e.family("foster_instance_state", gauge, "1 for the state that the instance is in, 0 for the others.")
	each(s, func(i client.Instance) {
		for _, state := range states {
			e.sample(truth(i.State == state), "app", i.App, "replica", number(i.Replica), "state", string(state))
		}
	})
	e.perInstance(s, "foster_instance_ready", "1 where the instance is ready.", func(i client.Instance) (float64, bool) {
		return truth(i.Ready), true
	})
	e.perInstance(s, "foster_tree_members", "Living processes of the tree.", func(i client.Instance) (float64, bool) {
		return float64(i.Members), true
	})
	e.perInstance(s, "foster_tree_cpu_seconds", "CPU time of the tree's processes, also of those that were seen and have ended: it falls only when there is another tree.",
		func(i client.Instance) (float64, bool) { return i.CPU.Seconds(), true })
	e.perInstance(s, "foster_tree_memory_bytes", "Resident memory of the tree's processes.", func(i client.Instance) (float64, bool) {
		return float64(i.Memory), true
	})
	e.perInstance(s, "foster_tree_survivors", "Processes that couldn't be ended.", func(i client.Instance) (float64, bool) {
		return float64(len(i.Survivors)), true
	})
	e.perInstance(s, "foster_tree_start_time_seconds", "When the tree was started, since the epoch.",
		func(i client.Instance) (float64, bool) { return seconds(i.Started), !i.Started.IsZero() })
	e.perInstance(s, "foster_lease_remaining_seconds", "How long the lease of the tree runs; only where it has one.",
		func(i client.Instance) (float64, bool) {
			if i.LeaseLeft == nil {
				return 0, false
			}
			return i.LeaseLeft.Seconds(), true
		})
}

// perInstance writes a gauge of each instance that has it.
func (e *exposition) perInstance(s client.Status, name, help string, value func(client.Instance) (float64, bool)) {
	e.family(name, gauge, help)
	each(s, func(i client.Instance) {
		if v, ok := value(i); ok {
			e.sample(v, "app", i.App, "replica", number(i.Replica))
		}
	})
}

func each(s client.Status, do func(client.Instance)) {
	for _, a := range s.Apps {
		for _, i := range a.Instances {
			do(i)
		}
	}
}

func truth(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
