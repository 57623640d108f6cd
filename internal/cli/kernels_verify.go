package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) kernelsVerifyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "verify",
		Short: "Hash everything in the cache and name what was altered",
		Args:  exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			cache, err := openCache()
			if err != nil {
				return err
			}
			n, damage, err := cache.Verify(cmd.Context())
			if err != nil {
				return err
			}
			for _, d := range damage {
				a.say("%s: %s", d.Entry, d.What)
			}
			if len(damage) > 0 {
				return fmt.Errorf("%d of %d cache entries in %s are damaged; remove them, and the next fetch makes them again", len(damage), n, cache.Dir())
			}
			_, err = fmt.Fprintf(a.Out, "%d cache entries are intact in %s\n", n, cache.Dir())
			return err
		},
	}
}
