package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"kqual/internal/history"
	"kqual/matrix"
)

// defaultState is where the nights are kept where no directory is named.
const defaultState = "state"

func (a *app) historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history",
		Short: "Look at the results of earlier nights",
		Long: `Look at the results that kqual nightly has kept, and import or export runs. The
file is STATE/history.db; docs/history.md has its schema for sqlite3.`,
	}
	group(cmd)
	cmd.AddCommand(
		a.historyListCommand(), a.historyShowCommand(), a.historyCellCommand(), a.historyTrendCommand(),
		a.historyTagCommand(), a.historyExportCommand(), a.historyImportCommand(),
	)
	return cmd
}

func stateFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "state", defaultState, "`DIR` of the nights and their history")
	_ = cmd.MarkFlagDirname("state")
}

// withHistory opens the history for reading.
func withHistory(ctx context.Context, state string, use func(*history.DB) error) error {
	db, err := history.Read(ctx, state)
	if err != nil {
		return err
	}
	return errors.Join(historyError(use(db)), db.Close())
}

// changeHistory opens the history for writing, and says so if a damaged one had
// to be moved out of the way.
func (a *app) changeHistory(ctx context.Context, state string, use func(*history.DB) error) error {
	db, err := history.Open(ctx, state)
	if err != nil {
		return err
	}
	a.sayDamage(db)
	return errors.Join(historyError(use(db)), db.Close())
}

func (a *app) sayDamage(db *history.DB) {
	if db.SetAside != "" {
		a.say("kqual: warning: the history was damaged (%s); it is kept as %s and a new one begins", db.Damage, db.SetAside)
	}
}

// historyError makes the user's what is not in the history.
func historyError(err error) error {
	var missing *history.NotFound
	if errors.As(err, &missing) {
		return usage(err)
	}
	return err
}

// parseCell reads kernel/filesystem/scenario/watch. A kernel's name may have
// slashes, and so may a watch's; the filesystem tells where it ends.
func parseCell(s string) (matrix.Cell, error) {
	parts := strings.Split(s, "/")
	cat := catalog()
	for i := 1; i+2 < len(parts); i++ {
		_, isFS := cat.Filesystems[parts[i]]
		_, isScenario := cat.Scenarios[parts[i+1]]
		if isFS && isScenario {
			return matrix.Cell{
				Kernel: strings.Join(parts[:i], "/"), Filesystem: parts[i], Scenario: parts[i+1],
				Watch: matrix.Watch{Name: strings.Join(parts[i+2:], "/")},
			}, nil
		}
	}
	return matrix.Cell{}, usage(fmt.Errorf("%q is no cell; write kernel/filesystem/scenario/watch, as in debian-12/tmpfs/unlink/IN_DELETE", s))
}
