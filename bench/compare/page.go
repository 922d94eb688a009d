package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// writePages writes doc/benchmarks.md with its plots, and the figures in the other pages.
func writePages(root string, r Results) error {
	files, err := generate(root, r)
	if err != nil {
		return err
	}
	for _, file := range obsolete(root, files) {
		if err := os.Remove(file); err != nil {
			return err
		}
	}
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// generate returns all that is generated, by file name. The other pages are read for that.
func generate(root string, r Results) (map[string]string, error) {
	files, err := plots("doc/benchmarks", r)
	if err != nil {
		return nil, err
	}
	files["doc/benchmarks.md"] = page(r, files)
	others, err := pages(root)
	if err != nil {
		return nil, err
	}
	for _, name := range others {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			return nil, err
		}
		if files[name], err = fill(string(text), r); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return files, nil
}

// obsolete are the plots that an earlier run has left.
func obsolete(root string, files map[string]string) (list []string) {
	found, _ := filepath.Glob(filepath.Join(root, "doc", "benchmarks", "*.svg")) // the pattern is valid
	for _, file := range found {
		if _, ok := files["doc/benchmarks/"+filepath.Base(file)]; !ok {
			list = append(list, file)
		}
	}
	return list
}

// pages are those in which figures may stand, without the one that is generated whole.
func pages(root string) ([]string, error) {
	found, err := filepath.Glob(filepath.Join(root, "doc", "*.md"))
	list := []string{"README.md"}
	for _, file := range found {
		if name := "doc/" + filepath.Base(file); name != "doc/benchmarks.md" {
			list = append(list, name)
		}
	}
	return list, err
}

// marked is a part of a page that is generated: it names figures, or is the summary.
var marked = regexp.MustCompile(`(?s)<!-- figures: ([a-z, -]+) -->\n.*?<!-- end of figures -->`)

// fill generates the marked parts of a page.
func fill(text string, r Results) (string, error) {
	if strings.Count(text, "<!-- figures:") != len(marked.FindAllString(text, -1)) {
		return "", fmt.Errorf("a part that begins by <!-- figures: NAME, … --> has no <!-- end of figures -->")
	}
	var unknown error
	filled := marked.ReplaceAllStringFunc(text, func(part string) string {
		names := marked.FindStringSubmatch(part)[1]
		var b strings.Builder
		for name := range strings.SplitSeq(names, ", ") {
			switch f, ok := figureNamed(name); {
			case name == "summary":
				b.WriteString(summary(r))
			case name == "zoo":
				b.WriteString(markdown(r.zooGrid()))
			case ok:
				fmt.Fprintf(&b, "%s:\n\n%s\n", f.heading(), markdown(r.grid(f)))
			default:
				unknown = fmt.Errorf("there is no figure %q", name)
			}
		}
		return "<!-- figures: " + names + " -->\n" + strings.TrimSuffix(b.String(), "\n") + "\n<!-- end of figures -->"
	})
	return filled, unknown
}

func figureNamed(name string) (figure, bool) {
	for _, r := range rows {
		for _, f := range r.figures {
			if f.name == name {
				return f, true
			}
		}
	}
	return figure{}, false
}

// keys are the figures of the summary, in which foster is judged from one version to the
// next.
var keys = []struct {
	what, figure string
	peers        []string
	sizes        []int
}{
	{"library, start to exit of `true`, no option set, from a small program and from one with 1 GB of heap", "library", []string{"foster, no option set"}, []int{0, 1024}},
	{"`foster run -- true`", "start", []string{"foster run"}, []int{0}},
	{"`foster init -- true`, `foster-init -- true`", "start", []string{"foster init", "foster-init"}, []int{0}},
	{"`foster version`; an empty Go program", "start", []string{"foster version", "an empty Go program"}, []int{0}},
	{"one of 100 idle trees of the library (PSS): group, subreaper, cgroup, PID namespace; shared", "tree",
		[]string{"library, group", "library, subreaper", "library, cgroup", "library, pidns", "library, shared"}, []int{100}},
	{"`foster up`, memory for each of 10, 100, 1,000 idle applications, which log (PSS)", "memory-pss", []string{"foster up"}, []int{10, 100, 1000}},
	{"the same of s6, which doesn't log", "memory-pss", []string{"s6"}, []int{10, 100, 1000}},
	{"`foster up` with 100 applications: until all run", "started-all", []string{"foster up"}, []int{100}},
	{"`foster up` with 100 applications: until the first runs", "started-first", []string{"foster up"}, []int{100}},
	{"a tree of 1,000 processes is ended: subreaper, cgroup, PID namespace", "stop", []string{"foster, subreaper", "foster, cgroup", "foster, pidns"}, []int{1000}},
	{"`foster ps`, CPU, 3,000 processes", "table-cpu", []string{"foster ps"}, []int{3000}},
	{"logs, throughput: in the background, on a terminal", "logs-throughput", []string{"foster up, in the background", "foster up, on a terminal"}, []int{100}},
}

// summary has one line for each key figure.
func summary(r Results) string {
	grid := [][]string{{"", "×", ""}}
	for _, k := range keys {
		f, _ := figureNamed(k.figure)
		var cells []string
		for _, peer := range k.peers {
			for _, n := range k.sizes {
				cells = append(cells, r.cell(f, peer, n))
			}
		}
		better := ""
		if f.higher {
			better = ", more is better"
		}
		grid = append(grid, []string{k.what, f.base + better, strings.Join(cells, "; ")})
	}
	return markdown(grid)
}

func markdown(grid [][]string) string {
	var b strings.Builder
	for i, line := range grid {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	return b.String()
}

const preface = `<!-- Generated by go run -C bench/compare . --write: change bench/compare, not this page. -->

# Benchmarks

foster beside its peers: the same work, in one run, in turn. Each cell is how many times as
much a peer takes as the one that the heading names: the median over all rounds and, in
parentheses, the quartiles. A ratio is taken within a round, so what disturbs a round
disturbs both sides of it. Times are given as ratios only, since seconds say more about the
machine than about the programs. Memory, sizes and counts are also given as they are.

On a fresh Debian, with Go 1.26, in a clone of the repository, as root:

    apt-get update && apt-get install -y --no-install-recommends tini dumb-init catatonit runit s6 daemontools supervisor bubblewrap procps npm
    npm install -g pm2
    go run -C bench/compare .

What isn't installed is named and left out. ` + "`--only ROW,…`" + ` measures some rows, ` + "`--rounds N`" + ` sets how
often, ` + "`--quick`" + ` takes seconds and shows only that all works, ` + "`-o json`" + ` prints each round's
values, and ` + "`--write`" + ` merges them into [results.json](benchmarks/results.json) and writes this
page, its plots, and the figures in the other pages. Each measurement runs in a PID namespace
and on a tmpfs of its own. Supervisors written in Go aren't among the peers: no release of one
could be installed where this ran.

`

// page is doc/benchmarks.md.
func page(r Results, plots map[string]string) string {
	var b strings.Builder
	b.WriteString(preface)
	m := r.Machine
	fmt.Fprintf(&b, "Measured on Linux %s, %d cores (%s), %.0f GiB of memory, %s. Other programs used the machine\nat the same time. ", m.Kernel, m.Cores, m.Processor, m.MemoryGiB, m.Go)
	var tools []string
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		tools = append(tools, name+" "+r.Versions[name])
	}
	fmt.Fprintf(&b, "Peers: %s.\n\n## Summary\n\n%s\n", strings.Join(tools, ", "), summary(r))
	for _, name := range order {
		for _, f := range rows[name].figures {
			if len(r.peers(f.name)) == 0 {
				continue
			}
			fmt.Fprintf(&b, "## %s\n\n× %s; %s. %s\n\n%s\n", f.title, f.base, f.better(), r.measured(f), markdown(r.grid(f)))
			if why := r.why(f); why != "" {
				fmt.Fprintf(&b, "Why foster isn't first everywhere: %s\n\n", why)
			}
			if _, ok := plots["doc/benchmarks/"+f.name+".svg"]; ok {
				fmt.Fprintf(&b, "![%s](benchmarks/%s.svg)\n\n", f.title, f.name)
			}
		}
	}
	if len(r.Zoo) > 0 {
		b.WriteString(zooWords)
		for _, s := range scenes {
			fmt.Fprintf(&b, "- *%s*: %s\n", s.name, s.title)
		}
		b.WriteString("\n" + markdown(r.zooGrid()))
	}
	return b.String()
}

const zooWords = `## The escape zoo

A start script and its application below each peer, with what applications do to escape, and
what happens to those who supervise them. *kept*: nothing is left, and no zombie. Else the
cell says how many processes of the application are left when the peer has ended, or that it
hasn't ended 15 seconds after it was told to. Peers that have one were given a stop timeout of
a second. ` + "`foster up`" + ` was given a grace of a second: with its default, an hour, applications outlive
it until the next one takes them over. ` + "`foster init`" + ` is made to be process 1, with which the kernel
ends all others; here it isn't, and nobody is left to end them when it is killed.

`

// better says which way is up.
func (f figure) better() string {
	if f.higher {
		return "more is better"
	}
	return "less is better"
}

// measured says when, with which foster, and how often.
func (r *Results) measured(f figure) string {
	var last Series
	least, most := 1<<30, 0
	for _, s := range r.Series {
		if s.Figure == f.name {
			last, least, most = s, min(least, len(s.Values)), max(most, len(s.Values))
		}
	}
	rounds := fmt.Sprint(most)
	if least < most {
		rounds = fmt.Sprintf("%d to %d", least, most)
	}
	return fmt.Sprintf("Measured on %s at %s; rounds: %s.", last.Date, last.Foster, rounds)
}
