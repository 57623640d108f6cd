package cli

import (
	"fmt"
	"maps"
	"slices"

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
			v, err := cache.Verify(cmd.Context())
			if err != nil {
				return err
			}
			for _, d := range v.Damage {
				a.say("%s: %s", d.Entry, d.What)
			}
			if len(v.Damage) > 0 {
				return fmt.Errorf("%d of %d cache entries in %s are damaged; remove them, and the next fetch makes them again", len(v.Damage), v.Checked, cache.Dir())
			}
			text := fmt.Sprintf("%d cache entries are intact in %s", v.Checked, cache.Dir())
			for i, kind := range slices.Sorted(maps.Keys(v.Unknown)) {
				if i == 0 {
					text += "; cannot be checked: "
				} else {
					text += ", "
				}
				text += fmt.Sprintf("%d in %s", v.Unknown[kind], kind)
			}
			_, err = fmt.Fprintln(a.Out, text)
			return err
		},
	}
}
