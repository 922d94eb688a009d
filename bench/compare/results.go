package main

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"strconv"
)

// Results are what is kept of runs on one machine.
type Results struct {
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	Series   []Series          `json:"series"`
	Zoo      []Fate            `json:"zoo"`
}

// A Machine is where it was measured. Slices of different machines are never merged.
type Machine struct {
	Kernel    string  `json:"kernel"`
	Processor string  `json:"processor"`
	Cores     int     `json:"cores"`
	MemoryGiB float64 `json:"memory_gib"`
	Go        string  `json:"go"`
}

// A Series is what one peer took in each round for one figure, in that figure's unit.
type Series struct {
	Figure string    `json:"figure"`
	Peer   string    `json:"peer"`
	N      int       `json:"n,omitempty"`
	Date   string    `json:"date"`
	Foster string    `json:"foster"` // the commit
	Values []float64 `json:"values"` // one a round, in order
}

// add appends what one round gave.
func (r *Results) add(s sample, date, commit string) {
	i := r.index(s.Figure, s.Peer, s.N)
	if i < 0 {
		i = len(r.Series)
		r.Series = append(r.Series, Series{Figure: s.Figure, Peer: s.Peer, N: s.N, Date: date, Foster: commit})
	}
	// Four digits: the rest is noise.
	value, _ := strconv.ParseFloat(strconv.FormatFloat(s.Value, 'g', 4, 64), 64)
	r.Series[i].Values = append(r.Series[i].Values, value)
}

func (r *Results) index(figure, peer string, n int) int {
	return slices.IndexFunc(r.Series, func(s Series) bool { return s.Figure == figure && s.Peer == peer && s.N == n })
}

func (r *Results) find(figure, peer string, n int) (Series, bool) {
	if i := r.index(figure, peer, n); i >= 0 {
		return r.Series[i], true
	}
	return Series{}, false
}

// merge puts the figures of a newer run in the place of those of an earlier one, or adds
// its rounds to them.
func (r *Results) merge(newer Results, add bool) {
	if r.Machine != newer.Machine {
		*r = Results{}
	}
	if !add {
		r.Series = slices.DeleteFunc(r.Series, func(s Series) bool { return len(newer.peers(s.Figure)) > 0 })
	}
	for _, s := range newer.Series {
		if i := r.index(s.Figure, s.Peer, s.N); i >= 0 {
			s.Values = append(r.Series[i].Values, s.Values...)
			r.Series[i] = s
		} else {
			r.Series = append(r.Series, s)
		}
	}
	r.Zoo = slices.DeleteFunc(r.Zoo, func(f Fate) bool {
		return slices.ContainsFunc(newer.Zoo, func(n Fate) bool { return n.Scene == f.Scene })
	})
	r.Zoo = append(r.Zoo, newer.Zoo...)
	r.Machine, r.Versions = newer.Machine, newer.Versions
}

// A Spread is a median, and the quartiles around it.
type Spread struct{ Low, Median, High float64 }

func spread(values []float64) Spread {
	return Spread{quantile(values, 0.25), quantile(values, 0.5), quantile(values, 0.75)}
}

func quantile(values []float64, q float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	at := q * float64(len(sorted)-1)
	below := int(at)
	if below+1 == len(sorted) {
		return sorted[below]
	}
	return sorted[below] + (at-float64(below))*(sorted[below+1]-sorted[below])
}

// ratio compares two peers round by round, so that what disturbed a round disturbed both.
func ratio(own, base Series) Spread {
	var ratios []float64
	for i := range min(len(own.Values), len(base.Values)) {
		if base.Values[i] > 0 {
			ratios = append(ratios, own.Values[i]/base.Values[i])
		}
	}
	return spread(ratios)
}

// sizes are the numbers for which a figure was measured, in order.
func (r *Results) sizes(figure string) (list []int) {
	for _, s := range r.Series {
		if s.Figure == figure && !slices.Contains(list, s.N) {
			list = append(list, s.N)
		}
	}
	slices.Sort(list)
	return list
}

// peers are those that were measured for a figure, in the order of the run.
func (r *Results) peers(figure string) (list []string) {
	for _, s := range r.Series {
		if s.Figure == figure && !slices.Contains(list, s.Peer) {
			list = append(list, s.Peer)
		}
	}
	return list
}

func load(file string) (Results, error) {
	var r Results
	b, err := os.ReadFile(file)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(b, &r)
}
