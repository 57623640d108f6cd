package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kqual/reports"
)

func (a *app) reportCommand() *cobra.Command {
	var format string
	var outputs []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "report [FILE]",
		Short: "Render saved results again, in any format",
		Long: `Render the results.json of a run again. FILE is out/results.json where none is
named. The raw counts are judged anew, with the expectations that the run had;
the matrix is not needed. The exit code says whether the report could be
rendered, not what is in it.

Formats: ` + formatList(),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exactly(1)(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			path := filepath.Join(defaultOut, resultsName)
			if len(args) == 1 {
				path = args[0]
			}
			out, err := parseOutputs(outputs)
			if err != nil {
				return err
			}
			if asJSON {
				format = "json"
			}
			// Files alone are enough; a format that is asked for is printed, too.
			if len(out) == 0 || asJSON || cmd.Flags().Changed("format") {
				f, err := reports.LookupFormat(format)
				if err != nil {
					return usage(fmt.Errorf("--format: %w", err))
				}
				out = append(out, output{format: f, path: "-"})
			}
			r, err := reports.Load(path)
			if errors.Is(err, fs.ErrNotExist) {
				return usage(fmt.Errorf("%s does not exist; kqual run writes it", path))
			} else if err != nil {
				return usage(err)
			}
			for _, o := range out {
				o.logs = filepath.Join(filepath.Dir(path), logsName)
				if err := o.write(a.Out, r); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "terminal", "`FORMAT` for standard output: "+strings.Join(reports.FormatNames(), ", "))
	cmd.Flags().StringArrayVarP(&outputs, "output", "o", nil, outputHelp)
	cmd.Flags().BoolVar(&asJSON, "json", false, "the same as --format json")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(reports.FormatNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func formatList() string {
	var lines []string
	for _, f := range reports.Formats() {
		lines = append(lines, fmt.Sprintf("\n  %-9s %s", f.Name, f.Doc))
	}
	return strings.Join(lines, "")
}
