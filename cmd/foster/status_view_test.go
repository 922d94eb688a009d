package main

import (
	"regexp"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
)

func TestTheStatusTableSaysInWordsHowEachInstanceIs(t *testing.T) {
	now := time.Unix(1000, 0)
	code := 7
	one := func(i client.Instance) client.App {
		i.App, i.Replica = "web", 1
		return client.App{Name: "web", Replicas: 1, Instances: []client.Instance{i}}
	}
	for _, c := range []struct {
		app  client.App
		want string
	}{
		{one(client.Instance{State: client.Running, PID: 12, Started: now.Add(-time.Minute), Ready: true, Members: 3, CPU: 1500 * time.Millisecond, Memory: 5 << 20}),
			`^web +running +12 +1m00s +0 +yes +3 +1.5s +5.0M +-$`},
		{one(client.Instance{State: client.Running, PID: 12, Started: now, Health: "no answer"}), `running +12 +0s +0 +no +- +- +- +- +no answer$`},
		{one(client.Instance{State: client.LeaderLost, PID: 12, Started: now, Cause: "start script lost"}), `^web +leader lost +- .*start script lost$`},
		{one(client.Instance{State: client.Backoff, Due: now.Add(3 * time.Second), Restarts: 4, Exit: &client.Exit{Code: &code, Ended: now.Add(-time.Second)}}),
			`^web +restart in 3s +- +- +4 +- .*7, 1s ago$`},
		{one(client.Instance{State: client.Scheduled, Due: now.Add(90 * time.Second)}), `next in 1m30s`},
		{one(client.Instance{State: client.Stuck, Survivors: []string{"rootd (pid 9)"}}), `stuck .*can't be ended: rootd \(pid 9\)$`},
		{one(client.Instance{State: client.Stuck, Cause: "its tree can't be taken over"}), `stuck .*- +its tree can't be taken over$`},
		{one(client.Instance{State: client.Stopped, Exit: &client.Exit{Cause: "unknown"}}), `stopped .* \?$`},
		{one(client.Instance{State: client.Failed, Cause: "hook\x1b[2J", Exit: &client.Exit{Signal: "SIGKILL", Ended: now}}), `failed .*SIGKILL, 0s ago hook\\x1b\[2J$`},
		{one(client.Instance{State: client.Failed, Cause: "db has failed", NotStarted: "db has failed"}), `failed .* not started: db has failed +db has failed$`},
		{one(client.Instance{State: client.Backoff, NotStarted: "hook pre_start: \x1bsh: exit status 4: no schema", Exit: &client.Exit{Cause: "not started: hook", Ended: now}}),
			`not started: hook pre_start: \\x1bsh: exit sta… *$`},
		{client.App{Name: "web", Replicas: 2, Instances: []client.Instance{{Replica: 2, State: client.Waiting, Cause: "waits for db"}}}, `^web\.2 +waiting .*waits for db$`},
		{client.App{Name: "web"}, `^web +no replicas`},
	} {
		lines := statusGrid([]client.App{c.app}, now).lines()
		if got := (canvas{}).line(lines[1]); !regexp.MustCompile(c.want).MatchString(got) {
			t.Errorf("%s\nwant %s", got, c.want)
		}
	}
}
