package cli

import (
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"kqual/internal/history"
)

func (a *app) historyListCommand() *cobra.Command {
	var state string
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the nights, the newest first",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withHistory(cmd.Context(), state, func(db *history.DB) error {
				runs, err := db.Runs(cmd.Context(), limit)
				if err != nil {
					return err
				}
				if asJSON {
					return a.json(runs)
				}
				rows := [][]string{{"run", "started", "took", "state", "exit", "cells", "tags"}}
				for _, r := range runs {
					rows = append(rows, []string{
						r.ID, r.Started.Format("2006-01-02 15:04"), r.Finished.Sub(r.Started).Round(time.Second).String(),
						string(r.State), strconv.Itoa(r.Exit), r.Tally(), strings.Join(r.Tags, ", "),
					})
				}
				_, err = io.WriteString(a.Out, columns(rows))
				return err
			})
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().IntVarP(&limit, "limit", "n", 30, "at most so many; 0 for all")
	jsonFlag(cmd, &asJSON)
	return cmd
}
