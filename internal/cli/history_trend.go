package cli

import (
	"io"

	"github.com/spf13/cobra"

	"kqual/internal/history"
	"kqual/matrix"
)

func (a *app) historyTrendCommand() *cobra.Command {
	var state string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "trend CELL",
		Short: "Print the verdict and rate of one cell over the nights",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseCell(args[0])
			if err != nil {
				return err
			}
			return withHistory(cmd.Context(), state, func(db *history.DB) error {
				points, err := db.Trend(cmd.Context(), at, limit)
				if err != nil {
					return err
				}
				if asJSON {
					return a.json(points)
				}
				rows := [][]string{{"run", "verdict", "rate", "kernel", "image", "on", "measured by"}}
				for _, p := range points {
					by := p.Run
					if p.Evidence != "" {
						by = p.Evidence
					}
					rows = append(rows, []string{
						p.Run, p.Text, rateText(p.Verdict), p.Version, p.SHA256[:min(12, len(p.SHA256))], p.Conditions.Accel, by,
					})
				}
				_, err = io.WriteString(a.Out, columns(rows))
				return err
			})
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().IntVarP(&limit, "limit", "n", 30, "at most so many nights, the last ones; 0 for all")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// rateText is the interval of the rate; - where the verdict has none.
func rateText(v matrix.Verdict) string {
	if v.Of == 0 {
		return "-"
	}
	return matrix.IntervalText(v.Lo, v.Hi)
}
