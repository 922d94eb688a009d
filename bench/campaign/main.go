//go:build linux

// The fault campaign: it starts random trees of real processes under foster, does random
// harm to them, and holds the promises of doc/design.md against what the kernel shows.
//
//	go run ./bench/campaign [trees] [flags]
//	go run ./bench/campaign project [flags]
//
// Each case runs in a PID namespace of its own, so nothing outside of it can be signalled,
// and nothing of it is left. doc/campaign.md tells more.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// options are those of the command line, for each mode.
type options struct {
	seed     uint64        // of the first case; each further one has the next
	cases    int           // how many there are at most
	kills    int           // project: how often the supervisor is killed in a case
	limit    time.Duration // how long the campaign may take; 0: until all cases are done
	parallel int           // cases at the same time
	output   string        // table or json
	one      string        // the text of a case, in place of random ones
	repeat   int           // how often that case is run
	contain  string        // trees: one containment, or all
	verbose  bool          // print each case
	dir      string        // the campaign's folder: the programs, and where each case has its own file system
	stdout   io.Writer
	stderr   io.Writer
}

// modes are what can be asked for by the first argument.
var modes = map[string]func(options) (failed bool, err error){}

// roles are what this executable is inside of a case: os.Args[1] names one.
var roles = map[string]func(args []string) (status int){}

func main() {
	if len(os.Args) > 1 {
		if role, ok := roles[os.Args[1]]; ok {
			os.Exit(role(os.Args[2:]))
		}
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	mode := "trees"
	if len(args) > 0 && modes[args[0]] != nil {
		mode, args = args[0], args[1:]
	}
	o := options{stdout: stdout, stderr: stderr}
	fs := flag.NewFlagSet("campaign "+mode, flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Uint64Var(&o.seed, "seed", 0, "the `number` of the first case; each further case has the next (0: chosen at random)")
	fs.IntVar(&o.cases, "cases", map[string]int{"trees": 200, "project": 1}[mode], "how many cases to run, in each containment")
	fs.IntVar(&o.kills, "kills", 50, "project: how often the supervisor is killed in each case")
	fs.DurationVar(&o.limit, "time", 0, "begin no case after this time (0: run all)")
	fs.IntVar(&o.parallel, "parallel", 4*runtime.NumCPU(), "how many cases run at the same time")
	fs.StringVar(&o.output, "output", "table", "how the summary is printed: table or json")
	fs.StringVar(&o.one, "case", "", "run the case with this `text`, as a failure prints it")
	fs.IntVar(&o.repeat, "repeat", 20, "how often to run the case of --case")
	fs.StringVar(&o.contain, "containment", "all", "group, subreaper, cgroup, pidns or all (project: auto)")
	fs.BoolVar(&o.verbose, "verbose", false, "print each case")
	foster := fs.String("foster", "", "the foster command (default: it is built)")
	if err := fs.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if fs.NArg() > 0 || o.output != "table" && o.output != "json" || o.cases < 1 || o.kills < 1 || o.parallel < 1 || o.repeat < 1 {
		fmt.Fprintln(stderr, "campaign: bad arguments; campaign --help lists them")
		return 2
	}
	if o.seed == 0 {
		o.seed = rand.Uint64N(1e9) + 1
	}
	clean, err := o.prepare(*foster)
	defer clean()
	if err == nil {
		var failed bool
		if failed, err = modes[mode](o); err == nil && failed {
			return 1
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "campaign:", err)
		return 125
	}
	return 0
}

// prepare makes the campaign's folder. In it are the programs of a case, each a file of its
// own, so that /proc/PID/exe tells what a process is: foster, library (a program that uses
// the library) and member (of a tree). Each case mounts a file system on "case".
func (o *options) prepare(foster string) (clean func(), err error) {
	if o.dir, err = os.MkdirTemp("", "campaign-"); err != nil {
		return func() {}, err
	}
	clean = func() { os.RemoveAll(o.dir) }
	if err := os.Chmod(o.dir, 0o755); err != nil { // cases have processes of other users
		return clean, err
	}
	if err := os.Mkdir(filepath.Join(o.dir, "case"), 0o755); err != nil {
		return clean, err
	}
	if foster == "" {
		foster = filepath.Join(o.dir, "foster")
		build := exec.Command("go", "build", "-o", foster, "github.com/foster-init/foster/cmd/foster")
		build.Stdout, build.Stderr = o.stderr, o.stderr
		if err := build.Run(); err != nil {
			return clean, fmt.Errorf("build foster: %w", err)
		}
	} else if err := place(foster, filepath.Join(o.dir, "foster")); err != nil {
		return clean, err
	}
	self, err := os.Executable()
	if err != nil {
		return clean, err
	}
	for _, name := range []string{"library", "member"} {
		if err := place(self, filepath.Join(o.dir, name)); err != nil {
			return clean, err
		}
	}
	return clean, nil
}

// place links a program to another name, or copies it if that is on another file system.
func place(from, to string) error {
	if os.Link(from, to) == nil {
		return nil
	}
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}
