package cli

import (
	"github.com/spf13/cobra"

	"kqual/internal/atomicfile"
	"kqual/internal/history"
)

func (a *app) historyExportCommand() *cobra.Command {
	var state, file string
	cmd := &cobra.Command{
		Use:   "export RUN",
		Short: "Write the results.json of one night, as it was imported",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return withHistory(cmd.Context(), state, func(db *history.DB) error {
				run, err := db.Find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				data, err := db.Export(cmd.Context(), run.ID)
				if err != nil {
					return err
				}
				if file != "-" {
					return atomicfile.Write(file, data)
				}
				_, err = a.Out.Write(data)
				return err
			})
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVarP(&file, "output", "o", "-", "`FILE` to write; - is standard output")
	// The export is JSON either way.
	var asJSON bool
	jsonFlag(cmd, &asJSON)
	return cmd
}
