package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// A measurement starts the test binary once more, as it starts the command.
func TestMain(m *testing.M) {
	if os.Getenv(roleVariable) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

const root = "../.."

// kept are the results in doc/.
func kept(t *testing.T) Results {
	t.Helper()
	r, err := load(root + "/doc/benchmarks/results.json")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestGeneratedPagesAgreeWithTheKeptResults(t *testing.T) {
	files, err := generate(root, kept(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if strings.HasSuffix(name, ".svg") && runtime.GOARCH != "amd64" {
			continue // the last digit of a coordinate may differ
		}
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Error(err)
		} else if string(text) != files[name] {
			t.Errorf("%s differs from what is generated: run go run -C bench/compare . --pages", name)
		}
	}
	for _, file := range obsolete(root, files) {
		t.Errorf("%s is of no figure", file)
	}
}

func TestTheKeptResultsHaveEveryRow(t *testing.T) {
	r := kept(t)
	for _, name := range order {
		row := rows[name]
		for _, f := range row.figures {
			for _, peer := range row.peers {
				for _, n := range row.numbers() {
					if n > row.most(peer) || n > 3000 {
						continue // more aren't for every machine
					}
					if _, ok := r.find(f.name, peer, n); !ok {
						t.Errorf("%s: %s wasn't measured for %d", f.name, peer, n)
					}
				}
			}
		}
	}
	for _, s := range scenes {
		for _, peer := range zooPeers {
			_, supervises := supervisorsByName[peer]
			if s.count == "copies" && !supervises {
				continue
			}
			if !slices.ContainsFunc(r.Zoo, func(f Fate) bool { return f.Scene == s.name && f.Peer == peer }) {
				t.Errorf("zoo: %s hasn't gone through %s", peer, s.name)
			}
		}
	}
}

// A number that was measured is generated, or it stays when the program changes.
func TestPagesQuoteNoFigureByHand(t *testing.T) {
	list, err := pages(root)
	if err != nil {
		t.Fatal(err)
	}
	byHand := regexp.MustCompile(`(?i)\b[0-9.,]+ times (as|the|that|less|more|os/exec|cgroup)|measured (once|on|in)|[0-9] (KB|KiB|MiB|MB) for each|[0-9.]+ of (s6|runit|tini)`)
	for _, name := range list {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		rest := marked.ReplaceAllString(string(text), "")
		for _, found := range byHand.FindAllString(rest, -1) {
			if found != "1024 times the" { // units
				t.Errorf("%s: %q: use <!-- figures: NAME --> or a link to doc/benchmarks.md", name, found)
			}
		}
	}
}

func TestEachFigureHasItsBaseAndAReason(t *testing.T) {
	seen := map[string]bool{}
	for name, row := range rows {
		if name == "zoo" {
			continue
		}
		if !slices.Contains(order, name) {
			t.Errorf("%s isn't in the table", name)
		}
		for _, f := range row.figures {
			if !slices.Contains(row.peers, f.base) {
				t.Errorf("%s: its base %s is none of its peers", f.name, f.base)
			}
			if f.why == "" || seen[f.name] {
				t.Errorf("%s: no reason, or twice", f.name)
			}
			seen[f.name] = true
		}
	}
	for _, k := range keys {
		f, ok := figureNamed(k.figure)
		if !ok {
			t.Errorf("the summary wants figure %s", k.figure)
		}
		for _, peer := range k.peers {
			if !slices.ContainsFunc(order, func(name string) bool {
				return slices.Contains(rows[name].figures, f) && slices.Contains(rows[name].peers, peer)
			}) {
				t.Errorf("the summary wants %s of %s", k.figure, peer)
			}
		}
	}
}

func TestARatioIsTakenWithinARound(t *testing.T) {
	// In the second round, something else used the machine.
	got := ratio(Series{Values: []float64{2, 20, 4}}, Series{Values: []float64{1, 10, 1, 1}})
	if got != (Spread{2, 2, 3}) {
		t.Errorf("%v", got)
	}
}

func TestMergeReplacesWholeFiguresOfOneMachine(t *testing.T) {
	here, there := Machine{Kernel: "here"}, Machine{Kernel: "there"}
	r := Results{Machine: here, Series: []Series{{Figure: "a", Peer: "old"}, {Figure: "b"}}, Zoo: []Fate{{"s", "p", "kept"}}}
	r.merge(Results{Machine: here, Series: []Series{{Figure: "a", Peer: "new", Values: []float64{1}}}}, false)
	if len(r.Series) != 2 || r.Series[0].Figure != "b" || r.Series[1].Peer != "new" || len(r.Zoo) != 1 {
		t.Errorf("%+v", r)
	}
	r.merge(Results{Machine: here, Series: []Series{{Figure: "a", Peer: "new", Values: []float64{2}}}}, true)
	if len(r.Series) != 2 || !slices.Equal(r.Series[1].Values, []float64{1, 2}) {
		t.Errorf("with added rounds: %+v", r)
	}
	r.merge(Results{Machine: there, Series: []Series{{Figure: "c"}}}, true)
	if len(r.Series) != 1 || len(r.Zoo) != 0 || r.Machine != there {
		t.Errorf("results of two machines: %+v", r)
	}
}

func TestFillRefusesWhatItCannotGenerate(t *testing.T) {
	for _, text := range []string{
		"<!-- figures: nothing -->\n<!-- end of figures -->",
		"<!-- figures: start -->\nwithout an end",
	} {
		if _, err := fill(text, Results{}); err == nil {
			t.Errorf("%q is filled", text)
		}
	}
}

func TestTheCommandLineIsChecked(t *testing.T) {
	for _, c := range []struct{ arguments, want string }{
		{"--only start,nonsense", "choose from start, library"},
		{"--rounds -1", "less than 0"},
		{"-o yaml", "neither text nor json"},
		{"--quick --write", "leave one of them out"},
		{"start", "unknown argument"},
	} {
		var stdout, stderr strings.Builder
		if status := run(t.Context(), strings.Fields(c.arguments), &stdout, &stderr); status != 2 || !strings.Contains(stderr.String(), c.want) {
			t.Errorf("%s: %d, %s", c.arguments, status, stderr.String())
		}
	}
}

// What a scene kills is in its namespace.
func TestASceneSignalsNothingOutside(t *testing.T) {
	bystander := exec.Command("sleep", marker)
	if err := bystander.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = bystander.Process.Kill(); _ = bystander.Wait() }()
	got, err := inNamespace(context.Background(), task{Row: "zoo", Peers: []string{"timeout -k"}, Scene: "script", Timeout: 30 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Figure != "2 left" { // so the scene has run, and left something
		t.Errorf("%+v", got)
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", bystander.Process.Pid))
	if err != nil || strings.Contains(string(stat), ") Z ") {
		t.Errorf("the process outside has ended: %s, %v", stat, err)
	}
}
