//go:build linux

package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
)

// built is the folder with the two programs that the tests run, built once.
var built string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if built, err = os.MkdirTemp("", "campaign-test-"); err != nil {
			panic(err)
		}
		defer os.RemoveAll(built)
		if err := os.Chmod(built, 0o755); err != nil {
			panic(err)
		}
		for name, path := range map[string]string{"campaign": ".", "foster": "../../cmd/foster"} {
			if out, err := exec.Command("go", "build", "-o", filepath.Join(built, name), path).CombinedOutput(); err != nil {
				panic(string(out))
			}
		}
		return m.Run()
	}())
}

// runCampaign runs the command.
func runCampaign(t *testing.T, args ...string) {
	t.Helper()
	cmd := exec.Command(filepath.Join(built, "campaign"), append(args, "--foster", filepath.Join(built, "foster"))...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("campaign %s: %v\n%s", strings.Join(args, " "), err, out.Bytes())
	}
}

// needNamespaces skips where no PID namespace can be had.
func needNamespaces(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	out, err := exec.Command("unshare", "--user", "--pid", "--mount", "--fork", "--mount-proc", "true").CombinedOutput()
	if err != nil {
		err = errors.New(string(out))
	}
	hosttest.Need(t, "a user namespace with its own /proc", err)
}

func TestRandomTreesAndHarmLoseNothing(t *testing.T) {
	needNamespaces(t)
	for _, name := range containments {
		t.Run(name, func(t *testing.T) {
			if name == "cgroup" {
				_, err := ownCgroup()
				if os.Geteuid() != 0 {
					hosttest.Unless(t, hosttest.OtherUser, err)
				}
				hosttest.Need(t, "a cgroup", err)
			}
			runCampaign(t, "--containment", name, "--seed", "1", "--cases", "40")
		})
	}
}

// The texts of cases that failed once.
func TestCasesThatFailedOnceHold(t *testing.T) {
	needNamespaces(t)
	hosttest.NeedRoot(t)
	text, err := os.ReadFile("testdata/failed.txt")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		name, one, found := strings.Cut(strings.TrimSpace(line), ": ")
		if !found || strings.HasPrefix(line, "#") {
			continue
		}
		t.Run(name, func(t *testing.T) { runCampaign(t, "--case", one, "--repeat", "10") })
	}
}

func TestACaseIsReadAsItIsWritten(t *testing.T) {
	for _, name := range containments {
		for seed := range uint64(500) {
			text := randomCase(seed, name, true, timing{start: 1e7, stop: 1e7}).String()
			again, err := parseCase(text)
			if err != nil || again.String() != text {
				t.Fatalf("%q is read as %q, %v", text, again, err)
			}
		}
	}
	for _, text := range []string{"", "cgroup run; h", "tree run; h; ", "group me; h; ", "group run; j; ", "group run; f h; ", "group run; f(h; ", "group run; h); ", "group run; h; 5 eat owner", "group run; h; x kill owner", "group run stop; h; "} {
		if c, err := parseCase(text); err == nil {
			t.Errorf("%q is read as %q", text, c)
		}
	}
}

// A judge that finds nothing proves nothing: a tree that its owner doesn't hold is lost.
func TestAnUnheldTreeIsFoundLost(t *testing.T) {
	needNamespaces(t)
	for what, script := range map[string]string{
		"lost: ":                        "shift; while [ \"$1\" != -- ]; do shift; done; shift; \"$@\" & exit 0",
		"a stranger, ":                  "kill $(ps -eo pid=,ppid= | awk -v me=$$ '$2 == me {print $1; exit}'); exit 0",
		"the owner's exit status is 7;": "exit 7",
	} {
		folder := t.TempDir()
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		fake := filepath.Join(folder, "foster")
		if err := os.WriteFile(fake, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(filepath.Join(built, "campaign"), "--foster", fake, "--repeat", "1", "--case", "subreaper run natural=1; d300; ")
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "\t"+what) {
			t.Errorf("%q isn't found: %v\n%s", what, err, out)
		}
	}
}
