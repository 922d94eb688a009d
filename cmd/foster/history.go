package main

import (
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/foster-init/foster/client"
)

// newHistory is foster history.
func newHistory(stdout *os.File, stderr io.Writer) *cobra.Command {
	var p projectFlags
	var form string
	var newest int
	cmd := &cobra.Command{
		Use:   "history [flags] APP",
		Short: "Show the runs of an application, the newest last",
		Long: `Show the runs of an application, or of one replica (web.2), that are kept: when each
began and ended, what started it, how it ended, and what it used. The newest is last.
The project need not run.`,
		Example:           "  foster history web\n  foster history -n 3 -o json web.2",
		Args:              needs("foster history web", "the name of an application"),
		ValidArgsFunction: completeApp(&p),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := validOutput(form); err != nil {
				return err
			}
			return p.withPast(cmd.Context(), stderr, args, false, func(past lookback, _ client.Status, of []client.Target) error {
				runs, err := past.History(cmd.Context(), of[0].App, of[0].Replica, newest)
				if err != nil {
					return err
				}
				if form == "json" {
					if runs == nil {
						runs = []client.Run{}
					}
					return writeJSON(stdout, runs)
				}
				return writeRuns(stdout, canvasOf(stdout), runs, time.Now())
			})
		},
	}
	p.add(cmd)
	cmd.Flags().IntVarP(&newest, "lines", "n", 20, "how many runs; 0: all that are kept")
	outputFlag(cmd, &form)
	return cmd
}

func writeRuns(w io.Writer, c canvas, runs []client.Run, now time.Time) error {
	g := grid{
		heads: []string{"RUN", "APP", "STARTED", "BY", "RAN", "EXIT", "CPU", "MAX MEMORY", "CAUSE"},
		right: []bool{true, false, false, false, true, false, true, true, false},
	}
	for _, r := range runs {
		row := cellsOf(strconv.FormatUint(r.ID, 10), printable(r.App)+"."+strconv.Itoa(r.Replica),
			r.Started.Local().Format("2006-01-02 15:04:05"), printable(r.By), short(max(0, now.Sub(r.Started))), "-", "-", "-", "runs")
		if e := r.Exit; e != nil {
			row[4].text = short(max(0, e.Ended.Sub(e.Started)))
			row[5] = exitPiece(e)
			row[6].text, row[7].text = short(e.User+e.System), sized(uint64(max(0, e.MaxRSS)))
			row[8].text = printable(e.Cause)
		}
		g.rows = append(g.rows, row)
	}
	return c.write(w, g.lines())
}

// exitPiece is the status or the signal of a run.
func exitPiece(e *client.Exit) piece {
	switch {
	case e.Code != nil && *e.Code == 0:
		return piece{"0", plain}
	case e.Code != nil:
		return piece{strconv.Itoa(*e.Code), red}
	case e.Signal != "":
		return piece{e.Signal, yellow}
	}
	return piece{"?", yellow}
}
