package cli

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"kqual/internal/history"
)

func (a *app) historyImportCommand() *cobra.Command {
	var state, name string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "import FILE...",
		Short: "File the results.json of kqual run, with the logs beside it; the same again changes nothing",
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 || name != "" && len(args) > 1 {
				return exactly(1)(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeHistory(cmd.Context(), state, func(db *history.DB) error {
				type item struct {
					Run string `json:"run"`
					New bool   `json:"new"`
				}
				var done []item
				for _, path := range args {
					r, err := loadReport(path)
					if err != nil {
						return err
					}
					id, isNew, err := db.Import(cmd.Context(), r, history.Source{
						ID: name, Path: path, Logs: filepath.Join(filepath.Dir(path), logsName),
					})
					if err != nil {
						return err
					}
					done = append(done, item{id, isNew})
					if asJSON {
						continue
					}
					what := count(len(r.Cells), "cell") + " filed"
					if !isNew {
						what = "already there"
					}
					if _, err := fmt.Fprintf(a.Out, "%s: %s\n", id, what); err != nil {
						return err
					}
				}
				if asJSON {
					return a.json(done)
				}
				return nil
			})
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVar(&name, "name", "", "`NAME` of the run (default: its start and hash); with one FILE only")
	jsonFlag(cmd, &asJSON)
	return cmd
}
