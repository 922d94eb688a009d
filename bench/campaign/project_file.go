//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// projectName is the name of the project of the campaign.
const projectName = "camp"

// application is an application of the project, and what is promised of it.
type application struct {
	name, kind string
	keys       string // of foster.yaml, a line each
	replicas   int
	restarts   bool // with any end, but a stop by hand
	tries      bool // restarts after a failure
	scheduled  bool
	replaced   bool // its schedule may stop it
	keepsFew   bool // files of its log
}

const (
	always    = "restart: {policy: always, backoff: {initial: 50ms, max: 500ms}}"
	onFailure = "restart: {policy: on_failure, backoff: {initial: 50ms, max: 500ms}}"
	never     = `restart: "no"`
)

// applications are those of the project.
var applications = []application{
	{name: "db", kind: "steady", restarts: true, keys: always + "\nreadiness_probe: {log_line: ready}"},
	{name: "web", kind: "steady", restarts: true, keys: always + "\ndepends_on: {db: {condition: process_healthy}}\nreadiness_probe: {exec: /bin/true, period: 200ms}"},
	{name: "mail", kind: "notify", restarts: true, keys: always + "\ndepends_on: [web]\nnotify: true"},
	{name: "chatty", kind: "chatty", restarts: true, keys: always},
	{name: "chatty-json", kind: "chatty", restarts: true, keys: always + "\nlogs: {format: json, compress: true}"},
	{name: "chatty-few", kind: "chatty", restarts: true, keepsFew: true, keys: always + "\nlogs: {max_files: 2}"},
	{name: "crash", kind: "crash", restarts: true, keys: always},
	{name: "signal", kind: "signal", tries: true, keys: onFailure},
	{name: "once", kind: "once", keys: never},
	{name: "fails", kind: "fails", keys: never},
	{name: "tries", kind: "tries", tries: true, keys: onFailure},
	{name: "slow", kind: "slow", restarts: true, keys: always},
	{name: "stubborn", kind: "stubborn", restarts: true, keys: always + "\nstop: {timeout: 300ms}"},
	{name: "daemon", kind: "daemon", restarts: true, keys: always},
	{name: "forking", kind: "daemon", restarts: true, keys: always + "\nforking: true"},
	{name: "parent", kind: "parent", restarts: true, keys: always},
	{name: "worker", kind: "steady", restarts: true, replicas: 3, keys: always + "\nreplicas: 3"},
	{name: "tick", kind: "job", scheduled: true, keys: `schedule: {cron: "@every 1s", overlap: queue}`},
	{name: "tock", kind: "job", scheduled: true, replaced: true, keys: `schedule: {cron: "@every 1s", overlap: replace, on_start: true}`},
	{name: "last", kind: "last", restarts: true, keys: always},
}

// mostWorkers is the largest number to which worker is scaled.
const mostWorkers = 5

func applicationNamed(name string) *application {
	for i := range applications {
		if applications[i].name == name {
			return &applications[i]
		}
	}
	return nil
}

// leftOut are the applications that each third generation of the project doesn't have.
var leftOut = []string{"slow", "last", "daemon"}

func leavesOut(generation int) bool { return generation%3 == 2 }

// projectFile is foster.yaml in some generation. Each restarts web and has other settings for
// the logs, and some leave applications out.
func projectFile(program, folder string, seed uint64, containment string, generation int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "name: %s\ngrace: 10m\nhistory: {runs: 1000000, age: 0}\n", projectName)
	fmt.Fprintf(&b, "logs: {max_size: %dK, max_files: 100000}\n", 48+generation%3*16)
	fmt.Fprintf(&b, "environment: {%s: %q, %s: \"%d\"}\napps:\n", folderVariable, folder, seedVariable, seed)
	for _, a := range applications {
		if leavesOut(generation) && slices.Contains(leftOut, a.name) {
			continue
		}
		fmt.Fprintf(&b, "  %s:\n    command: [%q, %s, %s]\n    containment: %s\n", a.name, program, applicationRole, a.kind, containment)
		for line := range strings.Lines(a.keys) {
			fmt.Fprintf(&b, "    %s\n", strings.TrimSpace(line))
		}
		if a.name == "web" {
			fmt.Fprintf(&b, "    environment: {GENERATION: \"%d\"}\n", generation)
		}
	}
	return b.String()
}
