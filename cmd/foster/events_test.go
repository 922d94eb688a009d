package main

import (
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/client"
)

func TestEventsStandInColumns(t *testing.T) {
	at := time.Unix(1000, 0)
	apps := []client.App{
		{Name: "web", Instances: []client.Instance{{Replica: 1}}},
		{Name: "worker", Instances: []client.Instance{{Replica: 9}, {Replica: 10}}},
	}
	var who, what, cause []int
	for _, e := range []client.Event{
		{Seq: 1, Kind: "supervisor", Cause: "CAUSE"},
		{Seq: 99, Kind: "signal", App: "web", Replica: 1, Cause: "CAUSE"},
		{Seq: 100, Kind: "state", App: "worker", Replica: 10, From: client.LeaderLost, To: client.Stopping, Cause: "CAUSE"},
		{Seq: 123456, Kind: "state", App: "worker", Replica: 9, From: client.Waiting, To: client.Failed, Cause: "CAUSE"},
	} {
		e.Time = at
		line := eventLine(e, widestName(apps))
		stamp := at.Local().Format(stampLayout) + " "
		who = append(who, strings.Index(line, stamp)+len(stamp))
		what = append(what, strings.Index(line, map[bool]string{true: string(e.From) + " -> ", false: e.Kind + ":"}[e.Kind == "state"]))
		cause = append(cause, strings.Index(line, "CAUSE"))
	}
	for name, column := range map[string][]int{"who": who, "what": what, "cause": cause} {
		for _, at := range column {
			if at != column[0] || at < 0 {
				t.Errorf("%s begins at %d", name, column)
				break
			}
		}
	}
}
