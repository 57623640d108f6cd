package nightly

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

// Now is what a night is about to be measured with: what an earlier answer must
// share to be still good.
type Now struct {
	Spec *matrix.Spec
	Tool reports.Tool
	Host reports.Host
	At   time.Time
	// Accel overrides the matrix; with it nothing is carried over, as it is not
	// known what earlier nights were told.
	Accel string
}

// Identified says whether a version tells one build from another: a build with
// local changes, or none, does not.
func Identified(version string) bool {
	return version != "" && version != "unknown" && !strings.HasSuffix(version, "dirty")
}

// StillGood returns what earlier nights have decided for good, as runner.Run
// takes it: firm answers not older than maxAge, of the same version of kqual on
// the same host with the same sampling, one entry per kernel image, the newest
// last. The runner itself compares image, machine and cell. A control is never
// among them. why says why nothing can be carried over, if so.
func StillGood(ctx context.Context, db *history.DB, now Now, maxAge time.Duration) (known []matrix.KernelRun, why string, err error) {
	switch {
	case !Identified(now.Tool.Version):
		return nil, fmt.Sprintf("every cell is measured: version %q does not tell one kqual from another; build it from a clean commit", now.Tool.Version), nil
	case now.Accel != "":
		return nil, "every cell is measured: --accel was given", nil
	}
	runs, err := db.Runs(ctx, 0)
	if err != nil {
		return nil, "", err
	}
	seen := map[string]bool{} // kernel and image
	for _, run := range runs {
		if run.Matrix != now.Spec.Name || run.Tool != now.Tool.Version || run.State != reports.StateDone || now.At.Sub(run.Started) > maxAge {
			continue
		}
		r, err := db.Report(ctx, run.ID)
		if err != nil {
			return nil, "", err
		}
		if r.Host != now.Host || r.Sampling != now.Spec.Sampling {
			continue
		}
		for _, k := range r.Kernels {
			key := k.Kernel + "\n" + k.Provenance.SHA256
			if k.Provenance.SHA256 == "" || k.Error != nil || seen[key] {
				continue
			}
			if good := carry(run, r, k, now, maxAge); len(good.Cells) > 0 {
				seen[key] = true
				known = append(known, good)
			}
		}
	}
	slices.Reverse(known)
	return known, "", nil
}

// carry is the part of one kernel's run that is still good.
func carry(run history.Run, r *reports.Report, k matrix.KernelRun, now Now, maxAge time.Duration) matrix.KernelRun {
	firm := map[string]bool{}
	for _, c := range r.Cells {
		firm[c.ID()] = c.Verdict.Kind.Firm() && c.Verdict.Kind != matrix.VerdictNatural
	}
	isControl := func(c matrix.Cell) bool {
		return c.Watch.Control || slices.ContainsFunc(now.Spec.Controls, func(rule matrix.Rule) bool { return rule.Matches(c) })
	}
	evidence := func(c matrix.CellRun) matrix.Evidence {
		if c.Evidence != nil {
			return *c.Evidence
		}
		return matrix.Evidence{Run: run.ID, Measured: run.Started}
	}
	good := runner.Carry(k, func(c matrix.CellRun) bool {
		return firm[c.Cell.ID()] && !isControl(c.Cell) && now.At.Sub(evidence(c).Measured) <= maxAge
	})
	for i := range good.Cells {
		e := evidence(good.Cells[i])
		good.Cells[i].Evidence = &e
	}
	return good
}

// Carried is one cell that was not measured tonight.
type Carried struct {
	Cell string `json:"cell"`
	matrix.Evidence
	Age string `json:"age"` // at the start of the night
}

// CarriedCells lists the cells of a report that rest on earlier nights.
func CarriedCells(r *reports.Report) []Carried {
	out := []Carried{}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Evidence != nil {
				out = append(out, Carried{c.Cell.ID(), *c.Evidence, matrix.AgeText(r.Started.Sub(c.Evidence.Measured))})
			}
		}
	}
	return out
}
