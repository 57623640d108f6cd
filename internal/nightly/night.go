package nightly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
)

// Night is what one night amounts to.
type Night struct {
	Run      string       `json:"run"`
	Baseline string       `json:"baseline"` // the run it was compared with; "" for the first
	Exit     int          `json:"exit"`
	Why      string       `json:"why"`
	Cells    int          `json:"cells"`
	Measured int          `json:"measured"` // cells, tonight; others were taken over, or could not be
	Gate     reports.Gate `json:"gate"`     // what the matrix expects, whatever changed
	Diff     reports.Diff `json:"diff"`
	Carried  []Carried    `json:"carried"`
	// Unverified has a line per kernel that nothing vouches for.
	Unverified []string `json:"unverified,omitempty"`
}

// Baseline finds what the run is compared with: name is a run, a tag, or "last"
// for the finished night before it. Without an earlier night it is the zero Run.
func Baseline(ctx context.Context, db *history.DB, name, id string, r *reports.Report) (history.Run, error) {
	var base history.Run
	var err error
	if name == "last" {
		base, err = db.Before(ctx, r.Matrix.Name, r.Started)
		var none *history.NotFound
		if errors.As(err, &none) {
			return history.Run{}, nil
		}
	} else {
		base, err = db.Find(ctx, name)
	}
	if err == nil && base.ID == id {
		err = fmt.Errorf("the baseline %s is the night itself; name another", name)
	}
	return base, err
}

// Judge compares a night that is in the history with its baseline. base may be
// the zero Run: then nothing changed.
func Judge(ctx context.Context, db *history.DB, id string, base history.Run, r *reports.Report) (Night, error) {
	n := Night{Run: id, Baseline: base.ID, Cells: len(r.Cells), Gate: r.Gate, Carried: CarriedCells(r), Unverified: r.Unverified(), Exit: r.Gate.Exit, Why: r.Gate.Why}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome != nil && c.Evidence == nil {
				n.Measured++
			}
		}
	}
	if base.ID == "" {
		n.Diff.Differences = []matrix.Difference{}
		return n, nil
	}
	var err error
	if n.Diff, err = db.Compare(ctx, base.ID, id); err != nil {
		return n, err
	}
	changed := n.Diff.Exit()
	if changed == matrix.ExitUnmet || changed == matrix.ExitNoAnswer && n.Exit == matrix.ExitMet {
		what := "coverage was lost since " + base.ID
		if changed == matrix.ExitUnmet {
			what = "affected now, and not in " + base.ID
		}
		if n.Exit != matrix.ExitMet {
			what += "; " + n.Why
		}
		n.Exit, n.Why = changed, what
	}
	return n, nil
}

// Changed says whether anybody needs to be told: anything else than the kernels'
// provenance or cells that were added.
func (n Night) Changed() bool {
	for _, d := range n.Diff.Differences {
		if d.Kind != matrix.DiffProvenance {
			return true
		}
	}
	return false
}

// JSON is the night as night.json and hooks have it.
func (n Night) JSON() ([]byte, error) {
	data, err := json.MarshalIndent(n, "", "  ")
	return append(data, '\n'), err
}
