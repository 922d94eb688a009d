package main

import (
	"bytes"
	"fmt"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// plots draws each figure, and returns the files by name.
func plots(folder string, r Results) (map[string]string, error) {
	files := map[string]string{}
	for _, name := range order {
		for _, f := range rows[name].figures {
			svg, err := draws(r, f)
			if err != nil {
				return nil, fmt.Errorf("plot of %s: %w", f.name, err)
			}
			if svg != "" {
				files[folder+"/"+f.name+".svg"] = svg
			}
		}
	}
	return files, nil
}

// fosterColor marks foster in all plots; others are for its peers.
var (
	fosterColor = color.RGBA{R: 0xc0, A: 0xff}
	others      = []color.Color{
		color.RGBA{B: 0xb0, A: 0xff}, color.RGBA{G: 0x80, A: 0xff}, color.RGBA{R: 0x70, B: 0x90, A: 0xff}, color.RGBA{G: 0x90, B: 0xa0, A: 0xff},
		color.RGBA{R: 0x90, G: 0x60, A: 0xff}, color.RGBA{R: 0x60, G: 0x60, B: 0x60, A: 0xff},
	}
)

// points are medians with their quartiles at a number, or, for figures without one, at a
// peer's place.
type points struct {
	plotter.XYs
	plotter.YErrors
	plotter.XErrors
}

// draws draws one figure: how it grows with its number, or, where that is one, a peer a
// line. It is empty where there is nothing to see.
func draws(r Results, f figure) (string, error) {
	p := plot.New()
	p.Title.Text, p.Title.Padding = f.title, vg.Points(8)
	sizes, peers := r.sizes(f.name), r.peers(f.name)
	var err error
	height := 10 * vg.Centimeter
	if len(sizes) > 1 {
		p.X.Label.Text = f.unit
		err = growth(p, r, f, sizes, peers)
	} else if len(sizes) == 1 {
		height = vg.Length(3+len(peers)) * vg.Points(19)
		err = places(p, r, f, sizes[0], peers)
	}
	if err != nil || !drawable(p) {
		return "", err
	}
	to, err := p.WriterTo(18*vg.Centimeter, height, "svg")
	if err != nil {
		return "", err
	}
	var b bytes.Buffer
	_, err = to.WriteTo(&b)
	return b.String(), err
}

func drawable(p *plot.Plot) bool { return p.X.Max >= p.X.Min && p.Y.Max >= p.Y.Min }

// unit is what a value is divided by before it is drawn: 1 for memory and counts, else
// what the base needs for the smallest number. So times are ratios here, too.
func (r *Results) unit(f figure, n int) (float64, string) {
	if f.shown != "" {
		return 1, f.shown
	}
	base, ok := r.find(f.name, f.base, n)
	if !ok {
		return 1, "?"
	}
	text := "× " + f.base
	if f.unit != "" {
		text += " with " + thousands(n)
	}
	return spread(base.Values).Median, text
}

func growth(p *plot.Plot, r Results, f figure, sizes []int, peers []string) error {
	unit, label := r.unit(f, sizes[0])
	p.Y.Label.Text = label
	if sizes[0] > 0 {
		p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, numbers{}
	}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, numbers{}
	p.Legend.Top = true
	p.Legend.TextStyle.Font.Size, p.Legend.Padding = vg.Points(9), vg.Points(2)
	p.Legend.Left = !f.falls(r)
	for i, peer := range peers {
		var line points
		for _, n := range sizes {
			if s, ok := r.find(f.name, peer, n); ok {
				line.add(float64(n), spread(s.Values), unit)
			}
		}
		if len(line.XYs) == 0 {
			continue
		}
		curve, dots, err := plotter.NewLinePoints(line.XYs)
		if err != nil {
			return err
		}
		curve.Color, dots.Shape, curve.Dashes = others[i%len(others)], plotutil.Shape(i), plotutil.Dashes(i)
		if isFoster(peer) {
			curve.Width, curve.Color = vg.Points(2), fosterColor
		}
		dots.Color = curve.Color
		bars, err := plotter.NewYErrorBars(line)
		if err != nil {
			return err
		}
		bars.Color = curve.Color
		p.Add(curve, dots, bars)
		p.Legend.Add(peer, curve, dots)
	}
	return nil
}

// falls says whether the figure gets less with its number: then the legend stands right.
func (f figure) falls(r Results) bool {
	sizes := r.sizes(f.name)
	few, ok := r.find(f.name, f.base, sizes[0])
	many, found := r.find(f.name, f.base, sizes[len(sizes)-1])
	return ok && found && spread(many.Values).Median < spread(few.Values).Median
}

func places(p *plot.Plot, r Results, f figure, n int, peers []string) error {
	unit, label := r.unit(f, n)
	p.X.Label.Text = label
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, numbers{}
	for i, peer := range peers {
		s, _ := r.find(f.name, peer, n)
		var one points
		value := spread(s.Values)
		if base, ok := r.find(f.name, f.base, n); ok && f.shown == "" { // as in the table
			value, unit = ratio(s, base), 1
		}
		one.add(float64(len(peers)-1-i), value, unit)
		if len(one.XYs) == 0 {
			continue
		}
		one.XYs[0].X, one.XYs[0].Y = one.XYs[0].Y, one.XYs[0].X
		one.XErrors = plotter.XErrors(one.YErrors)
		dot, err := plotter.NewScatter(one.XYs)
		if err != nil {
			return err
		}
		dot.Shape, dot.Radius, dot.Color = draw.CircleGlyph{}, vg.Points(4), others[0]
		if isFoster(peer) {
			dot.Color = fosterColor
		}
		bars, err := plotter.NewXErrorBars(one)
		if err != nil {
			return err
		}
		p.Add(bars, dot)
	}
	names := make([]string, len(peers))
	for i, peer := range peers {
		names[len(peers)-1-i] = peer
	}
	p.NominalY(names...)
	p.Add(plotter.NewGrid())
	return nil
}

// add takes a value that a logarithmic axis has a place for.
func (p *points) add(x float64, s Spread, unit float64) {
	if s.Low <= 0 {
		return
	}
	p.XYs = append(p.XYs, plotter.XY{X: x, Y: s.Median / unit})
	p.YErrors = append(p.YErrors, struct{ Low, High float64 }{(s.Median - s.Low) / unit, (s.High - s.Median) / unit})
}

// numbers are the ticks of a logarithmic axis, as people write them: 1, 2, 5, 10 …
type numbers struct{}

func (numbers) Ticks(low, high float64) (ticks []plot.Tick) {
	wide := high/low > 100
	for exponent := math.Floor(math.Log10(low)); exponent <= math.Ceil(math.Log10(high)); exponent++ {
		for _, digit := range []float64{1, 2, 5} {
			value := digit * math.Pow(10, exponent)
			label := strconv.FormatFloat(value, 'f', -1, 64)
			if value >= 1 {
				label = thousands(int(value + 0.5))
			}
			if wide && digit != 1 {
				label = ""
			}
			if value >= low && value <= high {
				ticks = append(ticks, plot.Tick{Value: value, Label: label})
			}
		}
	}
	return ticks
}
