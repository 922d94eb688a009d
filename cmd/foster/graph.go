package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/internal/config"
)

// graphForms are how foster graph prints.
var graphForms = map[string]func(io.Writer, *config.Project) error{
	"text": writeGraph, "dot": writeDot, "mermaid": writeMermaid, "json": writeGraphJSON,
}

// newGraph is foster graph.
func newGraph(stdout io.Writer) *cobra.Command {
	var which projectFlags
	var form string
	cmd := &cobra.Command{
		Use:   "graph [flags]",
		Short: "Show which application waits for which",
		Long: `Show which application waits for which, and for what of it. In text, they stand in the
order in which they are started; what is in the same step is started at once.`,
		Example: "  foster graph\n  foster graph -o dot | dot -Tsvg > graph.svg\n  foster graph -o mermaid",
		Args:    noArguments,
		RunE: func(*cobra.Command, []string) error {
			write, ok := graphForms[form]
			if !ok {
				return usageError{flagError("output", fmt.Errorf("%q is none of text, dot, mermaid, json", form))}
			}
			project, err := which.load()
			if err != nil {
				return err
			}
			return write(stdout, project)
		},
	}
	which.add(cmd)
	cmd.Flags().StringVarP(&form, "output", "o", "text", "how to print: text, dot, mermaid or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "dot", "mermaid", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// steps puts the applications in the order in which they can be started: each stands
// in the first step before which all that it waits for has been.
func steps(p *config.Project) [][]config.App {
	at := map[string]int{}
	for placed := true; placed; {
		placed = false
		for _, a := range p.Apps {
			step, known := 0, true
			for _, d := range a.DependsOn {
				n, ok := at[d.App]
				known, step = known && ok, max(step, n+1)
			}
			if _, done := at[a.Name]; !done && known {
				at[a.Name], placed = step, true
			}
		}
	}
	order := make([][]config.App, len(p.Apps))
	for _, a := range p.Apps {
		order[at[a.Name]] = append(order[at[a.Name]], a)
	}
	return slices.DeleteFunc(order, func(step []config.App) bool { return len(step) == 0 })
}

// conditionWords are the conditions as people say them.
var conditionWords = map[config.Condition]string{
	config.Started: "started", config.Healthy: "healthy", config.Completed: "completed",
	config.CompletedSuccessfully: "completed successfully", config.LogReady: "log line seen",
}

// edge is a dependency in words: "healthy, restarts with it".
func edge(d config.Dependency) string {
	if d.Restart {
		return conditionWords[d.Condition] + ", restarts with it"
	}
	return conditionWords[d.Condition]
}

// remark says what else decides when an application runs.
func remark(a config.App) string {
	var parts []string
	if a.Replicas != 1 {
		parts = append(parts, fmt.Sprintf("%d replicas", a.Replicas))
	}
	if a.Schedule != nil {
		parts = append(parts, "at "+a.Schedule.Cron)
	}
	if !a.Autostart {
		parts = append(parts, "only by foster start")
	}
	return strings.Join(parts, ", ")
}

func writeGraph(w io.Writer, p *config.Project) error {
	var b strings.Builder
	for n, step := range steps(p) {
		fmt.Fprintf(&b, "%d\n", n+1)
		for _, a := range step {
			fmt.Fprintf(&b, "  %s", a.Name)
			if r := remark(a); r != "" {
				fmt.Fprintf(&b, " (%s)", printable(r))
			}
			b.WriteByte('\n')
			for _, d := range a.DependsOn {
				fmt.Fprintf(&b, "    after %s: %s\n", d.App, edge(d))
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeDot writes for Graphviz. The names of applications hold nothing to be escaped.
func writeDot(w io.Writer, p *config.Project) error {
	var b strings.Builder
	fmt.Fprintf(&b, "digraph %q {\n  rankdir=LR\n  node [shape=box]\n", p.Name)
	for _, a := range p.Apps {
		fmt.Fprintf(&b, "  %q\n", a.Name)
		for _, d := range a.DependsOn {
			fmt.Fprintf(&b, "  %q -> %q [label=%q]\n", d.App, a.Name, edge(d))
		}
	}
	b.WriteString("}\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// writeMermaid writes a flowchart. Its nodes are numbered, since names as "end" and
// "a-b" mean something there.
func writeMermaid(w io.Writer, p *config.Project) error {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	id := func(name string) int {
		return slices.IndexFunc(p.Apps, func(a config.App) bool { return a.Name == name })
	}
	for i, a := range p.Apps {
		fmt.Fprintf(&b, "  a%d[\"%s\"]\n", i, a.Name)
	}
	for i, a := range p.Apps {
		for _, d := range a.DependsOn {
			fmt.Fprintf(&b, "  a%d -->|\"%s\"| a%d\n", id(d.App), edge(d), i)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

type graphApp struct {
	Name      string      `json:"name"`
	Step      int         `json:"step"`
	Replicas  int         `json:"replicas"`
	Autostart bool        `json:"autostart"`
	Schedule  string      `json:"schedule,omitempty"`
	DependsOn []graphEdge `json:"depends_on"`
}

type graphEdge struct {
	App       string           `json:"app"`
	Condition config.Condition `json:"condition"`
	Restart   bool             `json:"restart"`
}

func writeGraphJSON(w io.Writer, p *config.Project) error {
	apps := []graphApp{}
	for n, step := range steps(p) {
		for _, a := range step {
			g := graphApp{a.Name, n + 1, a.Replicas, a.Autostart, "", []graphEdge{}}
			if a.Schedule != nil {
				g.Schedule = a.Schedule.Cron
			}
			for _, d := range a.DependsOn {
				g.DependsOn = append(g.DependsOn, graphEdge{d.App, d.Condition, d.Restart})
			}
			apps = append(apps, g)
		}
	}
	return writeJSON(w, map[string]any{"project": p.Name, "apps": apps})
}
