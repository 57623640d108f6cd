package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
)

func (a *app) historyCellCommand() *cobra.Command {
	var state, night string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "cell CELL",
		Short: "Print everything about one cell of one night; CELL is kernel/filesystem/scenario/watch",
		Args:  exactly(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseCell(args[0])
			if err != nil {
				return err
			}
			return withHistory(cmd.Context(), state, func(db *history.DB) error {
				run, r, err := db.FindReport(cmd.Context(), night)
				if err != nil {
					return err
				}
				facts, err := cellOf(run, r, at)
				if err != nil {
					return err
				}
				if asJSON {
					return a.json(facts)
				}
				_, err = io.WriteString(a.Out, columns(facts.rows()))
				return err
			})
		},
	}
	stateFlag(cmd, &state)
	cmd.Flags().StringVar(&night, "run", "last", "`RUN`: a name, a tag or last")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// cellFacts is one cell of one night with what it rests on.
type cellFacts struct {
	Run        string            `json:"run"`
	Cell       reports.Cell      `json:"cell"`
	Provenance matrix.Provenance `json:"provenance"`
	Machine    matrix.Machine    `json:"machine"`
	Boot       *matrix.Boot      `json:"boot,omitempty"`
	Raw        matrix.CellRun    `json:"raw"`
}

func cellOf(run history.Run, r *reports.Report, at matrix.Cell) (cellFacts, error) {
	f := cellFacts{Run: run.ID}
	for _, c := range r.Cells {
		if c.ID() == at.ID() {
			f.Cell = c
		}
	}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Cell.ID() != at.ID() {
				continue
			}
			f.Provenance, f.Machine, f.Raw = k.Provenance, k.Machine, c
			if c.Outcome != nil && c.Boot < len(k.Boots) {
				f.Boot = &k.Boots[c.Boot]
			}
			return f, nil
		}
	}
	return f, &history.NotFound{What: fmt.Sprintf("run %s has no cell %s", run.ID, at.ID())}
}

func (f cellFacts) rows() [][]string {
	rows := [][]string{
		{"run", f.Run},
		{"verdict", f.Cell.Text},
		{"expectation", string(f.Cell.Gate) + " " + f.Cell.GateText},
		{"kernel", fmt.Sprintf("%s, %s", f.Provenance.Version, f.Provenance.Source)},
		{"image", f.Provenance.SHA256},
	}
	if e := f.Raw.Evidence; e != nil {
		rows = append(rows, []string{"measured by", fmt.Sprintf("run %s, %s", e.Run, e.Measured.Format("2006-01-02 15:04"))})
	}
	if b := f.Boot; b != nil {
		rows = append(rows, []string{"machine", fmt.Sprintf("%s, %s, %d CPUs, QEMU %s, %s", b.Accel, b.CPUModel, b.CPUs, b.QEMU, b.Release)})
	}
	if o := f.Raw.Outcome; o != nil && o.Status == matrix.Measured {
		n := o.Counts
		rows = append(rows,
			[]string{"trials", fmt.Sprintf("%d in %d blocks, %d contested, %d decisive", n.Trials, len(o.Blocks), n.Contested, n.Decisive)},
			[]string{"stale", fmt.Sprintf("%d, %d decisive, %d recognised", n.Stale, n.StaleDecisive, n.Recognised)},
			[]string{"spoilt", fmt.Sprintf("%d lost, %d overflows, %d foreign, %d duplicates", n.Lost, n.Overflows, n.Foreign, n.Duplicates)})
	}
	for _, note := range f.Cell.Verdict.Footnotes {
		rows = append(rows, []string{"note", note})
	}
	return rows
}
