package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kqual/matrix"
	"kqual/reports"
)

func (a *app) reportCommand() *cobra.Command {
	var format string
	var outputs []string
	var asJSON, diff, wide bool
	cmd := &cobra.Command{
		Use:   "report [FILE | --diff OLD NEW]",
		Short: "Render saved results again, in any format",
		Long: `Render the results.json of a run again. FILE is runs/latest/results.json where
none is named. The raw counts are judged anew, with the expectations that the run had;
the matrix is not needed. The exit code says whether the report could be
rendered, not what is in it.

With --diff, say what changed from OLD to NEW: verdicts, rates by more than
chance, cells and kernels that came or went, and other kernels under the same
name. Rates are compared only between equal accelerators, CPU models, numbers of
vCPUs, pressures and versions of kqual. The exit code is 1 if any cell got worse.

Formats: ` + formatList(),
		Args: func(cmd *cobra.Command, args []string) error {
			if diff {
				return exactly(2)(cmd, args)
			}
			if len(args) > 1 {
				return exactly(1)(cmd, args)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if diff {
				if len(outputs) > 0 || wide || cmd.Flags().Changed("format") {
					return usage(errors.New("--diff: prints text, or JSON with --json; leave out -o, --format and --wide"))
				}
				return a.diff(args[0], args[1], asJSON)
			}
			path := filepath.Join(runsDir, latestName, resultsName)
			if len(args) == 1 {
				path = args[0]
			}
			out, err := parseOutputs(outputs, "")
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
			if err := checkWide(wide, out); err != nil {
				return err
			}
			r, err := loadReport(path)
			if err != nil {
				return err
			}
			for _, o := range out {
				o.wide, o.logs = wide, filepath.Join(filepath.Dir(path), logsName)
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
	cmd.Flags().BoolVar(&wide, "wide", false, wideHelp)
	cmd.Flags().BoolVar(&diff, "diff", false, "compare two saved results: OLD NEW")
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(reports.FormatNames(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func loadReport(path string) (*reports.Report, error) {
	r, err := reports.Load(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, usage(fmt.Errorf("%s does not exist; kqual run writes it", path))
	} else if err != nil {
		return nil, usage(err)
	}
	return r, nil
}

// diff prints what changed between two saved reports.
func (a *app) diff(before, after string, asJSON bool) error {
	o, err := loadReport(before)
	if err != nil {
		return err
	}
	n, err := loadReport(after)
	if err != nil {
		return err
	}
	d := reports.Compare(o, n)
	if asJSON {
		enc := json.NewEncoder(a.Out)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		err = enc.Encode(d)
	} else {
		err = d.Render(a.Out, looks(a.Out))
	}
	if err != nil {
		return err
	}
	for _, x := range d.Differences {
		if x.Kind == matrix.DiffWorse {
			return &exitError{code: exitUnmet}
		}
	}
	return nil
}

func formatList() string {
	var lines []string
	for _, f := range reports.Formats() {
		lines = append(lines, fmt.Sprintf("\n  %-9s %s", f.Name, f.Doc))
	}
	return strings.Join(lines, "")
}
