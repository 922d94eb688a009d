package main

import (
	"io"
	"os"
	"strings"

	"github.com/foster-init/foster/internal/sys"
)

// What is shown of processes, as a list or as a picture: whole in a pipe; on a
// terminal cut to its width, and in colours.

// colour is how a piece of a line is shown on a terminal.
type colour string

const (
	plain  colour = ""
	bold   colour = "1"
	red    colour = "31"
	green  colour = "32"
	yellow colour = "33"
	faint  colour = "2"
)

// piece is a part of a line. Its text is printable.
type piece struct {
	text   string
	colour colour
}

// canvas is what lines are written for.
type canvas struct {
	rows, columns int  // 0: not bounded
	colours       bool // it understands them
}

// canvasOf asks what a file is: only a terminal has a size and colours.
func canvasOf(f *os.File) canvas {
	if f == nil || !sys.IsTerminal(f) {
		return canvas{}
	}
	rows, columns, err := sys.WindowSize(f)
	if err != nil {
		rows, columns = 0, 0
	}
	term := os.Getenv("TERM")
	return canvas{rows: rows, columns: columns, colours: os.Getenv("NO_COLOR") == "" && term != "" && term != "dumb"}
}

// line makes one line of pieces, without its end.
func (c canvas) line(pieces []piece) string {
	var b strings.Builder
	left := c.columns
	for _, p := range pieces {
		text := p.text
		if c.columns > 0 {
			text = fitting(text, left)
			left -= cells(text)
		}
		if text == "" {
			continue
		}
		if p.colour == plain || !c.colours {
			b.WriteString(text)
			continue
		}
		b.WriteString("\x1b[" + string(p.colour) + "m" + text + "\x1b[0m")
	}
	return strings.TrimRight(b.String(), " ")
}

func (c canvas) write(w io.Writer, lines [][]piece) error {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(c.line(l))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// fitting keeps as much of a text as fits into a number of a terminal's cells.
func fitting(text string, room int) string {
	if len(text) <= room {
		return text // no character takes more cells than bytes
	}
	for i, r := range text {
		if room -= runeCells(r); room < 0 {
			return text[:i]
		}
	}
	return text
}

// cells is how much of a terminal's line a text takes.
func cells(text string) (n int) {
	for _, r := range text {
		n += runeCells(r)
	}
	return n
}

// wide are the blocks of characters that take two cells (Unicode Standard Annex
// 11): those of East Asia, and pictures.
var wide = [][2]rune{
	{0x1100, 0x115f}, {0x231a, 0x231b}, {0x23e9, 0x23ec}, {0x25fd, 0x25fe}, {0x2614, 0x2615}, {0x2648, 0x2653},
	{0x26a1, 0x26a1}, {0x26bd, 0x26be}, {0x2705, 0x2705}, {0x270a, 0x270b}, {0x2728, 0x2728}, {0x274c, 0x274c},
	{0x2753, 0x2755}, {0x2795, 0x2797}, {0x2e80, 0x303e}, {0x3041, 0xa4cf}, {0xa960, 0xa97c}, {0xac00, 0xd7a3},
	{0xf900, 0xfaff}, {0xfe30, 0xfe6f}, {0xff00, 0xff60}, {0xffe0, 0xffe6}, {0x16fe0, 0x18aff}, {0x1b000, 0x1b2ff},
	{0x1f004, 0x1f004}, {0x1f0cf, 0x1f0cf}, {0x1f18e, 0x1f18e}, {0x1f191, 0x1f19a}, {0x1f200, 0x1f64f},
	{0x1f680, 0x1f6ff}, {0x1f7e0, 0x1f7eb}, {0x1f900, 0x1faff}, {0x20000, 0x3fffd},
}

func runeCells(r rune) int {
	if r < 0x1100 {
		return 1
	}
	for _, w := range wide {
		if r >= w[0] && r <= w[1] {
			return 2
		}
	}
	return 1
}

// grid is a table whose columns are as wide as their longest cell.
type grid struct {
	heads []string
	right []bool // columns of numbers
	rows  [][]piece
}

// lines are the heading and the rows.
func (g grid) lines() [][]piece {
	widths := make([]int, len(g.heads))
	for i, h := range g.heads {
		widths[i] = cells(h)
	}
	for _, row := range g.rows {
		for i, p := range row {
			widths[i] = max(widths[i], cells(p.text))
		}
	}
	head := make([]piece, len(g.heads))
	for i, h := range g.heads {
		head[i] = piece{h, bold}
	}
	lines := make([][]piece, 0, len(g.rows)+1)
	lines = append(lines, g.align(head, widths))
	for _, row := range g.rows {
		lines = append(lines, g.align(row, widths))
	}
	return lines
}

// align pads the cells of a row. The last is left as it is, unless it's a number.
func (g grid) align(row []piece, widths []int) []piece {
	line := make([]piece, 0, 2*len(row))
	for i, p := range row {
		if i > 0 {
			line = append(line, piece{text: " "})
		}
		pad := piece{text: strings.Repeat(" ", widths[i]-cells(p.text))}
		switch {
		case g.right[i]:
			line = append(line, pad, p)
		case i == len(row)-1:
			line = append(line, p)
		default:
			line = append(line, p, pad)
		}
	}
	return line
}
