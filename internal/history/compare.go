package history

import (
	"context"
	"database/sql"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

const (
	// window is how many nights are looked at for cells that flap.
	window = 14
	// confidence of the intervals in a comparison.
	confidence = 0.95
	// alpha is reports' chance of a false change of a rate.
	alpha = 0.05
)

// Compare says what changed from one run to another, and what flapped in the
// nights up to the newer one.
func (db *DB) Compare(ctx context.Context, before, after string) (reports.Diff, error) {
	var d reports.Diff
	var cells [2][]matrix.Judged
	var kernels [2][]matrix.KernelRun
	var runs [2]Run
	for i, id := range []string{before, after} {
		var err error
		if runs[i], err = db.Find(ctx, id); err != nil {
			return d, err
		}
		if cells[i], err = db.Cells(ctx, id); err != nil {
			return d, err
		}
		if kernels[i], err = db.Kernels(ctx, id); err != nil {
			return d, err
		}
	}
	side := func(r Run, cells int) reports.DiffSide {
		return reports.DiffSide{Name: r.Matrix, Started: r.Started.Format(time.RFC3339), SHA256: r.SHA256, State: r.State, Cells: cells}
	}
	d = reports.Diff{
		Old: side(runs[0], len(cells[0])), New: side(runs[1], len(cells[1])),
		Comparison: matrix.Compare(cells[0], cells[1], alpha),
	}
	d.CompareProvenance(kernels[0], kernels[1])
	nights, err := db.nights(ctx, runs[1])
	if err != nil {
		return d, err
	}
	has := map[string]bool{}
	for _, j := range cells[1] {
		has[j.Cell.ID()] = true
	}
	for id := range nights {
		if !has[id] {
			delete(nights, id)
		}
	}
	d.CompareNights(nights, confidence)
	return d, nil
}

// nights are the last nights of the cells that were affected on some and not on
// others, up to a run, the oldest first: only these can flap. A night that
// carried a cell over says nothing new about it.
func (db *DB) nights(ctx context.Context, last Run) (map[string][]matrix.Night, error) {
	out := map[string][]matrix.Night{}
	err := db.each(ctx, func(scan func(...any) error) error {
		var n matrix.Night
		var c matrix.Cell
		var accel, model sql.NullString
		u := &n.Under
		err := scan(&c.Kernel, &c.Filesystem, &c.Scenario, &c.Watch.Name, &n.Run, &n.Verdict, &n.Image, &u.Arch, &u.VCPUs, &u.Tool, &u.Pressure, &accel, &model)
		u.Accel, u.CPUModel = accel.String, model.String
		out[c.ID()] = append(out[c.ID()], n)
		return err
	}, `WITH r AS MATERIALIZED (SELECT run, id, started, tool_version, pressure FROM runs WHERE matrix_name = ? AND started <= ? AND state = 'done' ORDER BY started DESC, run DESC LIMIT ?),
		mixed AS MATERIALIZED (SELECT c.cell FROM r CROSS JOIN cells c USING (run) WHERE c.evidence IS NULL
			GROUP BY c.cell HAVING sum(c.verdict = 'affected') BETWEEN 1 AND count(*) - 1)
		SELECT n.kernel, n.filesystem, n.scenario, n.watch, r.id, c.verdict, k.sha256, k.arch, k.vcpus, r.tool_version, r.pressure, b.accel, b.cpu_model
		FROM mixed CROSS JOIN r CROSS JOIN cells c ON c.cell = mixed.cell AND c.run = r.run
		     JOIN names n ON n.cell = c.cell JOIN kernels k ON k.run = c.run AND k.name = n.kernel
		     LEFT JOIN boots b ON b.run = c.run AND b.kernel = n.kernel AND b.boot = c.boot
		WHERE c.evidence IS NULL ORDER BY r.started, r.run`, last.Matrix, stamp(last.Started), window)
	return out, err
}
