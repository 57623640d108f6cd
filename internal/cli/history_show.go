package cli

import (
	"github.com/spf13/cobra"

	"kqual/internal/history"
	"kqual/reports"
)

func (a *app) historyShowCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "Print the table of one night; RUN is a name, a tag or last",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHistory(cmd.Context(), state, func(db *history.DB) error {
				_, r, err := db.FindReport(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				format := "terminal"
				if asJSON {
					format = "json"
				}
				f, err := reports.LookupFormat(format)
				if err != nil {
					return err
				}
				return f.Render(a.Out, r, looks(a.Out))
			})
		},
	}
	stateFlag(cmd, &state)
	jsonFlag(cmd, &asJSON)
	return cmd
}
