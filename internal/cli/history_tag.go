package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"kqual/internal/history"
)

func (a *app) historyTagCommand() *cobra.Command {
	var state string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "tag [RUN] TAG",
		Short: "Give a night a name that stays, to compare or certify against; a tag that exists moves",
		Long: `Give a night a name that stays, as that of a release, to compare or certify
against. Without RUN it is the last one. A tag that exists moves.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return exactly(2)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				args = []string{"last", args[0]}
			}
			return a.changeHistory(cmd.Context(), state, func(db *history.DB) error {
				run, err := db.Find(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				if err := db.Tag(cmd.Context(), run.ID, args[1]); err != nil {
					return usage(err)
				}
				if asJSON {
					return a.json(map[string]string{"run": run.ID, "tag": args[1]})
				}
				_, err = fmt.Fprintf(a.Out, "%s is now %s\n", args[1], run.ID)
				return err
			})
		},
	}
	stateFlag(cmd, &state)
	jsonFlag(cmd, &asJSON)
	return cmd
}
