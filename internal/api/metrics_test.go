package api

import (
	"context"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/leaktest"
)

// measured is a supervisor of which there is much to tell.
func measured() *fake {
	left := 90 * time.Second
	return &fake{
		status: client.Status{
			Project: `sh"op`, Version: "1.0\n\\", Started: time.Unix(1000, 0), Seq: 77, Problems: []string{"history: full"},
			Apps: []client.App{{Name: "web", Instances: []client.Instance{
				{App: "web", Replica: 1, State: client.Running, Ready: true, Members: 3, CPU: 1500 * time.Millisecond, Memory: 1 << 40, LeaseLeft: &left},
				{App: "web", Replica: 2, State: client.Stuck, Survivors: []string{"a", "b"}},
			}}, {Name: "none"}},
		},
		count: Counters{Instances: []InstanceCounters{{
			App: "web", Replica: 1, Starts: 4, Restarts: 3, Exits: map[string]uint64{"ended": 2, "expired": 1},
			Adopted: 5, Reaped: 6, Killed: 7, LogBytes: 8, LogLines: 9, LogLost: 12,
			Probes: map[string]ProbeCounters{"readiness": {Successes: 10, Failures: 1, Seconds: 0.25, Last: 20 * time.Millisecond}},
		}}},
	}
}

// parsed reads what is told with the parser of Prometheus: each sample by its name and labels.
func parsed(t *testing.T, text string) map[string]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	found := map[string]float64{}
	for name, f := range families {
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", name)
		}
		if counter := f.GetType().String() == "COUNTER"; counter != strings.HasSuffix(name, "_total") {
			t.Errorf("%s is a %v", name, f.GetType())
		}
		for _, m := range f.Metric {
			key := name
			for _, l := range m.Label {
				key += " " + l.GetName() + "=" + l.GetValue()
			}
			switch {
			case m.Summary != nil:
				found[key+" sum"], found[key+" count"] = m.Summary.GetSampleSum(), float64(m.Summary.GetSampleCount())
			case m.Counter != nil:
				found[key] = m.Counter.GetValue()
			default:
				found[key] = m.Gauge.GetValue()
			}
		}
	}
	return found
}

func TestMetricsAreWhatPrometheusReads(t *testing.T) {
	leaktest.Check(t)
	l, err := ListenMetrics("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- ServeMetrics(ctx, l, measured()) }()
	get := func(path string) (int, string) {
		t.Helper()
		h := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		answer, err := h.Get("http://" + l.Addr().String() + path)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	status, text := get("/metrics")
	if status != http.StatusOK {
		t.Errorf("%d", status)
	}
	found := parsed(t, text)
	for key, want := range map[string]float64{
		"foster_info project=sh\"op version=1.0\n\\":                                 1,
		"foster_start_time_seconds":                                                  1000,
		"foster_problems":                                                            1,
		"foster_events_total":                                                        77,
		"foster_instance_state app=web replica=1 state=running":                      1,
		"foster_instance_state app=web replica=1 state=stuck":                        0,
		"foster_instance_state app=web replica=2 state=stuck":                        1,
		"foster_instance_ready app=web replica=1":                                    1,
		"foster_tree_members app=web replica=1":                                      3,
		"foster_tree_cpu_seconds app=web replica=1":                                  1.5,
		"foster_tree_memory_bytes app=web replica=1":                                 1 << 40,
		"foster_tree_survivors app=web replica=2":                                    2,
		"foster_lease_remaining_seconds app=web replica=1":                           90,
		"foster_starts_total app=web replica=1":                                      4,
		"foster_restarts_total app=web replica=1":                                    3,
		"foster_exits_total app=web replica=1 cause=ended":                           2,
		"foster_exits_total app=web replica=1 cause=expired":                         1,
		"foster_orphans_adopted_total app=web replica=1":                             5,
		"foster_zombies_reaped_total app=web replica=1":                              6,
		"foster_killed_total app=web replica=1":                                      7,
		"foster_log_bytes_total app=web replica=1":                                   8,
		"foster_log_lines_total app=web replica=1":                                   9,
		"foster_log_dropped_lines_total app=web replica=1":                           12,
		"foster_probe_checks_total app=web replica=1 probe=readiness result=success": 10,
		"foster_probe_checks_total app=web replica=1 probe=readiness result=failure": 1,
		"foster_probe_duration_seconds app=web replica=1 probe=readiness sum":        0.25,
		"foster_probe_duration_seconds app=web replica=1 probe=readiness count":      11,
		"foster_probe_last_duration_seconds app=web replica=1 probe=readiness":       0.02,
	} {
		if got, ok := found[key]; !ok || math.Abs(got-want) > 1e-9 {
			t.Errorf("%s is %v, want %v", key, got, want)
		}
	}
	if _, ok := found["foster_lease_remaining_seconds app=web replica=2"]; ok {
		t.Error("a lease that there isn't is told")
	}
	// What is open to all users of this machine tells this, and nothing else.
	for _, path := range []string{"/v1/status", "/", "/v1/down"} {
		if status, _ := get(path); status != http.StatusNotFound {
			t.Errorf("%s: %d", path, status)
		}
	}
	end()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestMetricsOfNothingAreWhatPrometheusReads(t *testing.T) {
	e := &exposition{}
	e.supervisor(client.Status{})
	e.instances(client.Status{})
	e.counters(Counters{})
	if found := parsed(t, string(e.text)); found["foster_events_total"] != 0 || len(found) != 4 {
		t.Errorf("%v", found)
	}
}

func FuzzLabel(f *testing.F) {
	f.Add("a\\b\"c\nd")
	f.Add("\xff\x00")
	f.Fuzz(func(t *testing.T, value string) {
		e := &exposition{}
		e.family("foster_x", gauge, "Help.")
		e.sample(1.5, "app", value, "replica", "1")
		if found := parsed(t, string(e.text)); found["foster_x app="+strings.ToValidUTF8(value, "�")+" replica=1"] != 1.5 {
			t.Errorf("%q: %v", value, found)
		}
	})
}

// Who reaches the address of the metrics is nobody that is known: it can ask for nothing else.
func TestOnlyMetricsAreServedAtTheirAddress(t *testing.T) {
	leaktest.Check(t)
	l, err := ListenMetrics(":0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{}
	ctx, end := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- ServeMetrics(ctx, l, f) }()
	at := "http://" + l.Addr().String()
	once := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, r := range (&server{supervisor: f}).table() {
		for _, method := range []string{r.method, "POST", "OPTIONS"} {
			ask, err := http.NewRequest(method, at+r.path, strings.NewReader(`{"targets": [{"all": true}]}`))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := once.Do(ask)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if served := answer.StatusCode == http.StatusOK; served != (r.path == "/metrics" && method == "GET") {
				t.Errorf("%s %s: %s", method, r.path, answer.Status)
			}
			if allowed := answer.Header.Get("Access-Control-Allow-Origin"); allowed != "" {
				t.Errorf("%s %s: a page of %s may read it", method, r.path, allowed)
			}
		}
	}
	if f.last() != "" {
		t.Errorf("it was asked: %q", f.asked)
	}
	end()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestAnAddressForMetrics(t *testing.T) {
	leaktest.Check(t)
	l, err := ListenMetrics(":0")
	if err != nil {
		t.Fatal(err)
	}
	if host := l.Addr().(*net.TCPAddr).IP; !host.IsLoopback() {
		t.Errorf("it listens on %v", host)
	}
	if _, err := ListenMetrics(l.Addr().String()); err == nil || !strings.HasPrefix(err.Error(), "metrics: ") {
		t.Errorf("%v", err)
	}
	l.Close()
	if _, err := ListenMetrics("9090"); err == nil || !strings.Contains(err.Error(), "127.0.0.1:9090 was expected") {
		t.Errorf("%v", err)
	}
}
