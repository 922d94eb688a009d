// Command compare measures foster beside its peers: the same work in one run, in turn,
// as ratios with their spread. It writes a table, JSON, and the pages of doc/ that quote a
// figure.
//
//	go run -C bench/compare .                   # all that is installed
//	go run -C bench/compare . --only start,zoo  # some rows
//	go run -C bench/compare . --write           # and write doc/benchmarks.md
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		os.Unsetenv(roleVariable)
		if err := inside(role); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	only         []string
	rounds, most int
	quick        bool
	output       string
	write, add   bool
	pages        bool
	progress     io.Writer
}

func parse(arguments []string, stderr io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.SetOutput(stderr)
	only := flags.String("only", "", "measure only these `rows`, as in start,zoo; all are "+strings.Join(order, ", ")+", zoo")
	flags.IntVar(&o.rounds, "rounds", 0, "measure each so many `times`; 0: as often as its spread needs")
	flags.IntVar(&o.most, "most", 10_000, "leave out numbers of processes, applications and so on above this `number`")
	flags.BoolVar(&o.quick, "quick", false, "small numbers, one round: shows that all works, and measures nothing well")
	flags.StringVar(&o.output, "o", "text", "what to print: text or json")
	flags.BoolVar(&o.write, "write", false, "merge the results into doc/benchmarks/results.json, and write the pages")
	flags.BoolVar(&o.add, "add", false, "with --write: add to the rounds that are kept, instead of replacing them")
	flags.BoolVar(&o.pages, "pages", false, "measure nothing: write the pages from doc/benchmarks/results.json")
	if err := flags.Parse(arguments); err != nil {
		return o, err
	}
	all := append(slices.Clone(order), "zoo")
	if o.only = all; *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.Contains(all, name) {
			return o, fmt.Errorf("--only: there is no row %q: choose from %s", name, strings.Join(all, ", "))
		}
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.rounds < 0:
		return o, fmt.Errorf("--rounds: %d is less than 0", o.rounds)
	case o.output != "text" && o.output != "json":
		return o, fmt.Errorf("-o: %q is neither text nor json", o.output)
	case o.add && !o.write:
		return o, fmt.Errorf("--add: nothing is kept without --write")
	case o.quick && o.write:
		return o, fmt.Errorf("--quick and --write: what was measured quickly isn't kept; leave one of them out")
	}
	return o, nil
}

func run(ctx context.Context, arguments []string, stdout, stderr io.Writer) int {
	o, err := parse(arguments, stderr)
	if err == flag.ErrHelp {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return 2
	}
	o.progress = stderr
	if err := compare(ctx, o, stdout); err != nil {
		fmt.Fprintln(stderr, "compare:", err)
		return 1
	}
	return 0
}

func compare(ctx context.Context, o options, stdout io.Writer) error {
	root, err := repository()
	if err != nil {
		return err
	}
	kept := filepath.Join(root, "doc", "benchmarks", "results.json")
	if o.pages {
		results, err := load(kept)
		if err != nil {
			return err
		}
		return writePages(root, results)
	}
	for _, line := range missing() {
		fmt.Fprintln(o.progress, "missing peers are left out; to have them: "+line)
	}
	bin, err := build(ctx, root)
	if err != nil {
		return err
	}
	defer os.RemoveAll(bin)
	results, failed := measure(ctx, o, commit(root))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if o.write {
		all, err := load(kept)
		if err != nil && !os.IsNotExist(err) {
			return err
		}
		all.merge(results, o.add)
		if err := save(kept, all); err != nil {
			return err
		}
		if err := writePages(root, all); err != nil {
			return err
		}
	}
	if o.output == "json" {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(results)
	} else {
		_, err = io.WriteString(stdout, table(results))
	}
	if err == nil && failed > 0 {
		err = fmt.Errorf("%d measurements failed", failed)
	}
	return err
}

// repository is the folder of the module that is measured.
func repository() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/foster-init/foster").Output()
	if err != nil {
		return "", fmt.Errorf("run it in a clone, as go run -C bench/compare . : %w", withStderr(err))
	}
	return strings.TrimSpace(string(out)), nil
}

func commit(root string) string {
	out, _ := exec.Command("git", "-C", root, "rev-parse", "--short", "HEAD").Output()
	return strings.TrimSpace(string(out))
}

// build puts what is measured into a folder, which comes first in PATH.
func build(ctx context.Context, root string) (string, error) {
	bin, err := os.MkdirTemp("", "foster-compare-bin-")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(bin, 0o755); err != nil {
		return "", err
	}
	if err := write(bin, "empty.go", "package main\n\nfunc main() {}\n"); err != nil {
		return "", err
	}
	for _, c := range []struct{ dir, from, to string }{
		{root, "./cmd/foster", "foster"},
		{root, "./cmd/foster-init", "foster-init"},
		{filepath.Join(root, "bench", "compare"), "./host", "host"},
		{bin, "empty.go", "empty"},
	} {
		cmd := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(bin, c.to), c.from)
		cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w: %s", c.from, err, out)
		}
	}
	return bin, os.Setenv("PATH", bin+":"+os.Getenv("PATH")+":/usr/sbin:/sbin")
}

// measure does all rows, and says how many measurements failed.
func measure(ctx context.Context, o options, commit string) (Results, int) {
	results := Results{Machine: thisMachine(), Versions: versions()}
	date, failed := time.Now().UTC().Format(time.DateOnly), 0
	for _, name := range o.only {
		if name == "zoo" {
			fates, bad := throughZoo(ctx, o)
			results.Zoo, failed = fates, failed+bad
			continue
		}
		r := rows[name]
		peers := slices.DeleteFunc(slices.Clone(r.peers), func(p string) bool { return needs(p) != "" && !has(needs(p)) })
		sizes := r.numbers()
		if o.quick && len(r.quick) > 0 {
			sizes = r.quick
		}
		for _, n := range sizes {
			if n > o.most {
				continue
			}
			rounds := r.times(n)
			if o.quick {
				rounds = 1
			}
			if o.rounds > 0 {
				rounds = o.rounds
			}
			gone := map[string]bool{} // peers that failed: a round without them would be paired with another's
			for i := range rounds {
				fmt.Fprintf(o.progress, "%s %d: round %d of %d\n", name, n, i+1, rounds)
				groups := [][]string{peers}
				if !r.together {
					groups = nil
					for _, p := range peers {
						if n <= r.most(p) && !gone[p] {
							groups = append(groups, []string{p})
						}
					}
				}
				for _, group := range groups {
					if ctx.Err() != nil {
						return results, failed
					}
					samples, err := inNamespace(ctx, task{Row: name, Peers: group, N: n, Quick: o.quick, Timeout: r.timeout})
					if err != nil {
						fmt.Fprintf(o.progress, "%s: %s: %v\n", name, strings.Join(group, ", "), err)
						gone[group[0]], failed = true, failed+1
					}
					for _, s := range samples {
						results.add(s, date, commit)
					}
				}
			}
		}
	}
	return results, failed
}

// throughZoo has each peer go through each scene, several at once: they mostly wait.
func throughZoo(ctx context.Context, o options) (fates []Fate, failed int) {
	list := scenes
	if o.quick {
		list = scenes[:2]
	}
	turn := make(chan struct{}, 5)
	var mutex sync.Mutex
	var all sync.WaitGroup
	for _, s := range list {
		fmt.Fprintf(o.progress, "zoo: %s\n", s.name)
		for _, peer := range zooPeers {
			_, supervises := supervisorsByName[peer]
			if needs(peer) != "" && !has(needs(peer)) || s.count == "copies" && !supervises {
				continue
			}
			turn <- struct{}{}
			all.Go(func() {
				defer func() { <-turn }()
				got, err := inNamespace(ctx, task{Row: "zoo", Peers: []string{peer}, Scene: s.name, NoReap: strings.HasPrefix(s.count, "zombies"), Timeout: 2 * time.Minute})
				mutex.Lock()
				defer mutex.Unlock()
				if err != nil {
					fmt.Fprintf(o.progress, "zoo: %s: %s: %v\n", s.name, peer, err)
					failed++
					return
				}
				fates = append(fates, Fate{s.name, peer, got[0].Figure})
			})
		}
	}
	all.Wait()
	slices.SortFunc(fates, func(a, b Fate) int { return cmp.Or(cmp.Compare(a.Scene, b.Scene), cmp.Compare(a.Peer, b.Peer)) })
	return fates, failed
}

func thisMachine() Machine {
	m := Machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	if b, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.Kernel = strings.TrimSpace(string(b))
	}
	b, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			m.Processor = strings.TrimSpace(value)
			break
		}
	}
	b, _ = os.ReadFile("/proc/meminfo")
	var kib float64
	if _, err := fmt.Sscanf(string(b), "MemTotal: %f kB", &kib); err == nil {
		m.MemoryGiB = float64(int(kib/1024/1024 + 0.5))
	}
	return m
}
