package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
)

// table is what a person reads on the terminal.
func table(r Results) string {
	var b strings.Builder
	for _, name := range order {
		for _, f := range rows[name].figures {
			if len(r.peers(f.name)) == 0 {
				continue
			}
			fmt.Fprintf(&b, "%s\n", f.heading())
			w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
			for _, line := range r.grid(f) {
				fmt.Fprintln(w, "  "+strings.Join(line, "\t"))
			}
			w.Flush()
			if why := r.why(f); why != "" {
				fmt.Fprintln(&b, "  why: "+why)
			}
			fmt.Fprintln(&b)
		}
	}
	if len(r.Zoo) > 0 {
		w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
		for _, line := range r.zooGrid() {
			fmt.Fprintln(w, strings.Join(line, "\t"))
		}
		w.Flush()
	}
	return b.String()
}

// heading says what a figure is, and what its ratios refer to.
func (f figure) heading() string {
	return fmt.Sprintf("%s: × %s, %s", f.title, f.base, f.better())
}

// grid is the table of a figure: a peer a line, a number a column.
func (r *Results) grid(f figure) [][]string {
	sizes := r.sizes(f.name)
	head := []string{""}
	for _, n := range sizes {
		if f.unit == "" {
			head = append(head, "")
			continue
		}
		head = append(head, fmt.Sprintf("%s %s", thousands(n), f.unit))
	}
	grid := [][]string{head}
	for _, peer := range r.peers(f.name) {
		line := []string{peer}
		for _, n := range sizes {
			line = append(line, r.cell(f, peer, n))
		}
		grid = append(grid, line)
	}
	return grid
}

// cell is a ratio with its quartiles, after the value itself where that isn't a time.
func (r *Results) cell(f figure, peer string, n int) string {
	own, ok := r.find(f.name, peer, n)
	if !ok {
		return "–"
	}
	value := ""
	if f.shown != "" {
		value = strings.TrimSpace(number(spread(own.Values).Median) + " " + f.shown)
	}
	base, ok := r.find(f.name, f.base, n)
	if !ok {
		return value
	}
	s := ratio(own, base)
	var text string
	switch {
	case s.Median != s.Median: // the base is 0
		return value
	case peer == f.base:
		text = "1"
	case number(s.Low) == number(s.High):
		text = number(s.Median)
	default:
		text = fmt.Sprintf("%s (%s–%s)", number(s.Median), number(s.Low), number(s.High))
	}
	if value != "" {
		return value + ", × " + text
	}
	return text
}

// number has three digits.
func number(x float64) string {
	switch {
	case x >= 100:
		return thousands(int(x + 0.5))
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

func thousands(n int) string {
	if n >= 1000 {
		return fmt.Sprintf("%s,%03d", thousands(n/1000), n%1000)
	}
	return fmt.Sprint(n)
}

// why says in plain words why foster isn't first, where it isn't.
func (r *Results) why(f figure) string {
	for _, n := range r.sizes(f.name) {
		best, bestOwn := 0.0, 0.0
		for _, peer := range r.peers(f.name) {
			s, ok := r.find(f.name, peer, n)
			if !ok {
				continue
			}
			value := spread(s.Values).Median
			if !f.higher {
				value = 1 / (value + 1e-9)
			}
			if best = max(best, value); isFoster(peer) {
				bestOwn = max(bestOwn, value)
			}
		}
		if bestOwn < best {
			return f.why
		}
	}
	return ""
}

func isFoster(peer string) bool {
	return strings.HasPrefix(peer, "foster") && peer != "foster version" || strings.HasPrefix(peer, "library") || strings.HasPrefix(peer, "proc.")
}

// zooGrid has a peer a line, a scene a column.
func (r *Results) zooGrid() [][]string {
	head := []string{""}
	for _, s := range scenes {
		head = append(head, s.name)
	}
	grid := [][]string{head}
	for _, peer := range zooPeers {
		line := []string{peer}
		seen := false
		for _, s := range scenes {
			fate := "–"
			for _, f := range r.Zoo {
				if f.Peer == peer && f.Scene == s.name {
					fate, seen = f.Fate, true
				}
			}
			line = append(line, fate)
		}
		if seen {
			grid = append(grid, line)
		}
	}
	return grid
}

// save writes the results, a series a line: a diff then shows what changed.
func save(file string, r Results) error {
	var b strings.Builder
	part := func(name string, value any) error {
		text, err := json.Marshal(value)
		fmt.Fprintf(&b, "%q: %s", name, text)
		return err
	}
	b.WriteString("{\n")
	if err := part("machine", r.Machine); err != nil {
		return err
	}
	b.WriteString(",\n")
	if err := part("versions", r.Versions); err != nil {
		return err
	}
	b.WriteString(",\n\"series\": ")
	if err := lines(&b, r.Series); err != nil {
		return err
	}
	b.WriteString(",\n\"zoo\": ")
	if err := lines(&b, r.Zoo); err != nil {
		return err
	}
	b.WriteString("\n}\n")
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(b.String()), 0o644)
}

func lines[T any](b *strings.Builder, list []T) error {
	b.WriteString("[")
	for i, x := range list {
		text, err := json.Marshal(x)
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(b, "\n%s", text)
	}
	b.WriteString("\n]")
	return nil
}
