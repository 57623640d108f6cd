package history

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

// Run is one night, without its cells.
type Run struct {
	ID       string         `json:"id"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished"`
	State    reports.State  `json:"state"`
	Tool     string         `json:"tool"` // version
	Matrix   string         `json:"matrix"`
	SHA256   string         `json:"matrix_sha256"`
	Exit     int            `json:"exit"` // of kqual nightly, or what the matrix expects
	Why      string         `json:"why"`
	Path     string         `json:"path"` // of the results when they were imported
	Results  string         `json:"sha256"`
	Night    bool           `json:"night"` // kqual nightly made it, and has published it
	Tags     []string       `json:"tags"`
	Verdicts map[string]int `json:"verdicts"` // cells by verdict
	// Unverified are the kernels that nothing vouches for, sorted.
	Unverified []string `json:"unverified,omitempty"`
}

// Tally is "60 clean, 4 affected": the cells by verdict, in the order of these.
func (r Run) Tally() string {
	var parts []string
	for _, k := range matrix.VerdictKinds() {
		if n := r.Verdicts[string(k)]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, k))
		}
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

const runColumns = `SELECT run, id, started, finished, state, tool_version, matrix_name, matrix_sha256,
	coalesce(nights.exit, runs.exit), coalesce(nights.why, runs.why), path, sha256, nights.run IS NOT NULL FROM runs LEFT JOIN nights USING (run) `

// NotFound says that the history has no such run, tag, cell or log.
type NotFound struct{ What string }

func (n *NotFound) Error() string { return n.What }

// Runs lists the runs, the newest first; at most limit, 0 for all.
func (db *DB) Runs(ctx context.Context, limit int) ([]Run, error) {
	if limit <= 0 {
		limit = -1
	}
	return db.runs(ctx, "ORDER BY started DESC, run DESC LIMIT ?", limit)
}

// Find returns the run that has the name or the tag; "last" is the newest.
func (db *DB) Find(ctx context.Context, name string) (Run, error) {
	tail, args := "WHERE id = ? OR run = (SELECT run FROM tags WHERE name = ?) ORDER BY id = ? DESC LIMIT 1", []any{name, name, name}
	if name == "last" {
		tail, args = "ORDER BY started DESC, run DESC LIMIT 1", nil
	}
	list, err := db.runs(ctx, tail, args...)
	switch {
	case err != nil:
		return Run{}, err
	case len(list) == 0 && name == "last":
		return Run{}, &NotFound{"the history has no run yet"}
	case len(list) == 0:
		return Run{}, &NotFound{fmt.Sprintf("the history has no run and no tag named %q; kqual history list shows them", name)}
	}
	return list[0], nil
}

// Before returns the last finished run of the matrix of that name that began
// before t; NotFound where there is none.
func (db *DB) Before(ctx context.Context, matrixName string, t time.Time) (Run, error) {
	list, err := db.runs(ctx, "WHERE matrix_name = ? AND started < ? AND state = 'done' ORDER BY started DESC, run DESC LIMIT 1", matrixName, stamp(t))
	if err == nil && len(list) == 0 {
		err = &NotFound{"no earlier run of " + matrixName}
	}
	if err != nil {
		return Run{}, err
	}
	return list[0], nil
}

func (db *DB) runs(ctx context.Context, tail string, args ...any) ([]Run, error) {
	out := []Run{}
	var keys []int64
	err := db.each(ctx, func(scan func(...any) error) error {
		r := Run{Tags: []string{}, Verdicts: map[string]int{}}
		var key int64
		var started, finished string
		err := scan(&key, &r.ID, &started, &finished, &r.State, &r.Tool, &r.Matrix, &r.SHA256, &r.Exit, &r.Why, &r.Path, &r.Results, &r.Night)
		r.Started, r.Finished = parse(started), parse(finished)
		out, keys = append(out, r), append(keys, key)
		return err
	}, runColumns+tail, args...)
	if err != nil {
		return nil, err
	}
	return out, db.details(ctx, out, keys)
}

// details adds verdicts, tags and unverified kernels to the runs of the keys.
func (db *DB) details(ctx context.Context, runs []Run, keys []int64) error {
	if len(runs) == 0 {
		return nil
	}
	at := map[int64]*Run{}
	for i, k := range keys {
		at[k] = &runs[i]
	}
	err := db.each(ctx, func(scan func(...any) error) error {
		var key int64
		var kind string
		var n int
		err := scan(&key, &kind, &n)
		if r := at[key]; r != nil {
			r.Verdicts[kind] = n
		}
		return err
	}, "SELECT run, verdict, n FROM tallies WHERE run BETWEEN ? AND ?", slices.Min(keys), slices.Max(keys))
	if err != nil {
		return err
	}
	names := func(list func(*Run) *[]string, query string, args ...any) error {
		return db.each(ctx, func(scan func(...any) error) error {
			var key int64
			var name string
			err := scan(&key, &name)
			if r := at[key]; r != nil {
				*list(r) = append(*list(r), name)
			}
			return err
		}, query, args...)
	}
	if err := names(func(r *Run) *[]string { return &r.Tags }, "SELECT run, name FROM tags ORDER BY name"); err != nil {
		return err
	}
	return names(func(r *Run) *[]string { return &r.Unverified },
		"SELECT run, name FROM kernels WHERE run BETWEEN ? AND ? AND json_extract(details, '$.' || ?) != '' ORDER BY name",
		slices.Min(keys), slices.Max(keys), matrix.DetailUnverified)
}

// each calls row for every row of a query.
func (db *DB) each(ctx context.Context, row func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := db.sql.QueryContext(ctx, query, args...)
	if err != nil {
		return readError(ctx, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return readError(ctx, err)
		}
	}
	if err := rows.Err(); err != nil {
		return readError(ctx, err)
	}
	return nil
}

func readError(ctx context.Context, err error) error {
	return fmt.Errorf("read the history: %w", damageOf(ctx, err))
}

func parse(s string) time.Time {
	t, _ := time.Parse(time.RFC3339Nano, s)
	return t
}

// Export returns the results of a run, byte by byte as Encode of what was
// imported.
func (db *DB) Export(ctx context.Context, id string) ([]byte, error) {
	var packed []byte
	err := db.sql.QueryRowContext(ctx, "SELECT results FROM runs WHERE id = ?", id).Scan(&packed)
	if err != nil {
		return nil, fmt.Errorf("read run %s: %w", id, damageOf(ctx, err))
	}
	return unpack(packed)
}

// Report returns a run as a report.
func (db *DB) Report(ctx context.Context, id string) (*reports.Report, error) {
	data, err := db.Export(ctx, id)
	if err != nil {
		return nil, err
	}
	return reports.Decode(data)
}

// FindReport is Find with the run as a report.
func (db *DB) FindReport(ctx context.Context, name string) (Run, *reports.Report, error) {
	run, err := db.Find(ctx, name)
	if err != nil {
		return run, nil, err
	}
	r, err := db.Report(ctx, run.ID)
	return run, r, err
}

// Log returns a console log by its content's sha256 (hex).
func (db *DB) Log(ctx context.Context, sum string) ([]byte, error) {
	var packed []byte
	err := db.sql.QueryRowContext(ctx, "SELECT data FROM logs WHERE sha256 = ?", sum).Scan(&packed)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &NotFound{"the history has no log " + sum}
	} else if err != nil {
		return nil, readError(ctx, err)
	}
	return unpack(packed)
}

// SetNight files what a night amounts to; changes is its night.json.
func (db *DB) SetNight(ctx context.Context, id, baseline string, exit int, why string, changes []byte) error {
	_, err := db.sql.ExecContext(ctx, "INSERT OR REPLACE INTO nights SELECT run, ?, ?, ?, ? FROM runs WHERE id = ?", baseline, exit, why, string(changes), id)
	if err != nil {
		return fmt.Errorf("write to the history: %w", err)
	}
	return nil
}

// Changes returns the night.json of a run; NotFound for one that kqual nightly
// did not make.
func (db *DB) Changes(ctx context.Context, id string) ([]byte, error) {
	var text string
	err := db.sql.QueryRowContext(ctx, "SELECT changes FROM nights JOIN runs USING (run) WHERE id = ?", id).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, &NotFound{"run " + id + " was not made by kqual nightly, or is not in the history"}
	} else if err != nil {
		return nil, readError(ctx, err)
	}
	return []byte(text), nil
}

// Tag gives a run a name that stays; a tag that exists moves.
func (db *DB) Tag(ctx context.Context, id, tag string) error {
	var taken int
	if err := db.sql.QueryRowContext(ctx, "SELECT count(*) FROM runs WHERE id = ?", tag).Scan(&taken); err != nil {
		return readError(ctx, err)
	}
	if taken > 0 || tag == "" || tag == "last" || strings.ContainsAny(tag, "/ \t\n") {
		return fmt.Errorf("%q cannot be a tag: it is empty, the name of a run, \"last\", or has a space or a slash", tag)
	}
	_, err := db.sql.ExecContext(ctx, `INSERT INTO tags SELECT ?, run, ? FROM runs WHERE id = ?
		ON CONFLICT (name) DO UPDATE SET run = excluded.run, created = excluded.created`, tag, stamp(time.Now()), id)
	return err
}

// Point is one cell on one night.
type Point struct {
	Run        string            `json:"run"`
	Started    time.Time         `json:"started"`
	Verdict    matrix.Verdict    `json:"verdict"`
	Text       string            `json:"text"`
	Gate       string            `json:"gate"`
	Version    string            `json:"version"` // of the kernel
	SHA256     string            `json:"sha256"`  // of its image
	Evidence   string            `json:"evidence,omitempty"`
	Conditions matrix.Conditions `json:"conditions"`
	Log        string            `json:"log,omitempty"` // sha256
}

// Trend is one cell over the nights, the oldest first; at most the last limit
// ones, 0 for all. A cell that no run has is NotFound.
func (db *DB) Trend(ctx context.Context, at matrix.Cell, limit int) ([]Point, error) {
	if limit <= 0 {
		limit = -1
	}
	out := []Point{}
	err := db.each(ctx, func(scan func(...any) error) error {
		var p Point
		var started string
		var evidence, accel, model, log sql.NullString
		v, c := &p.Verdict, &p.Conditions
		err := scan(&p.Run, &started, &v.Kind, &v.Count, &v.Of, &v.Lo, &v.Hi, &v.Reason, &p.Gate, &p.Version, &p.SHA256,
			&evidence, &accel, &model, &log, &c.Arch, &c.VCPUs, &c.Tool, &c.Pressure)
		p.Started, p.Evidence, p.Log = parse(started), evidence.String, log.String
		p.Text = matrix.VerdictText(p.Verdict)
		c.Accel, c.CPUModel = accel.String, model.String
		out = append(out, p)
		return err
	}, `SELECT * FROM (
		SELECT r.id, r.started AS started, c.verdict, c.count, c.of, c.lo, c.hi, c.reason, c.gate, k.version, k.sha256,
		       c.evidence, b.accel, b.cpu_model, b.log, k.arch, k.vcpus, r.tool_version, r.pressure
		FROM names n JOIN cells c USING (cell) JOIN runs r USING (run) JOIN kernels k ON k.run = c.run AND k.name = n.kernel
		     LEFT JOIN boots b ON b.run = c.run AND b.kernel = n.kernel AND b.boot = c.boot
		WHERE n.kernel = ? AND n.filesystem = ? AND n.scenario = ? AND n.watch = ?
		ORDER BY r.started DESC, r.run DESC LIMIT ?) ORDER BY started`,
		at.Kernel, at.Filesystem, at.Scenario, at.Watch.Name, limit)
	if err == nil && len(out) == 0 {
		err = &NotFound{fmt.Sprintf("the history has no cell %s; a cell is kernel/filesystem/scenario/watch", at.ID())}
	}
	return out, err
}

// Cells are the cells of a run with what they were measured under, in no
// particular order.
func (db *DB) Cells(ctx context.Context, id string) ([]matrix.Judged, error) {
	var out []matrix.Judged
	err := db.each(ctx, func(scan func(...any) error) error {
		var j matrix.Judged
		var accel, model sql.NullString
		v, c, u := &j.Verdict, &j.Cell, &j.Under
		err := scan(&c.Kernel, &c.Filesystem, &c.Scenario, &c.Watch.Name, &c.Watch.Control, &v.Kind, &v.Count, &v.Of, &v.Lo, &v.Hi, &v.Reason,
			&accel, &model, &u.Arch, &u.VCPUs, &u.Tool, &u.Pressure)
		u.Accel, u.CPUModel = accel.String, model.String
		out = append(out, j)
		return err
	}, `SELECT n.kernel, n.filesystem, n.scenario, n.watch, c.control, c.verdict, c.count, c.of, c.lo, c.hi, c.reason,
		       b.accel, b.cpu_model, k.arch, k.vcpus, r.tool_version, r.pressure
		FROM runs r JOIN cells c USING (run) JOIN names n USING (cell) JOIN kernels k ON k.run = c.run AND k.name = n.kernel
		     LEFT JOIN boots b ON b.run = c.run AND b.kernel = n.kernel AND b.boot = c.boot
		WHERE r.id = ?`, id)
	return out, err
}

// Kernels are the kernels of a run with their provenance and boots, without
// cells.
func (db *DB) Kernels(ctx context.Context, id string) ([]matrix.KernelRun, error) {
	var out []matrix.KernelRun
	err := db.each(ctx, func(scan func(...any) error) error {
		var k matrix.KernelRun
		var details, config string
		var side, reason sql.NullString
		p := &k.Provenance
		err := scan(&k.Kernel, &p.Source, &p.Version, &p.Arch, &p.SHA256, &details, &config, &k.Machine.VCPUs, &k.Machine.Memory, &k.Machine.CPU, &side, &reason)
		k.Machine.Arch = p.Arch
		_ = json.Unmarshal([]byte(details), &p.Details)
		_ = json.Unmarshal([]byte(config), &p.Config)
		if side.Valid {
			k.Error = &matrix.Failure{Side: matrix.Side(side.String), Reason: reason.String}
		}
		out = append(out, k)
		return err
	}, `SELECT k.name, k.source, k.version, k.arch, k.sha256, k.details, k.config, k.vcpus, k.memory, k.cpu, k.error_side, k.error_reason
		FROM kernels k JOIN runs r USING (run) WHERE r.id = ?`, id)
	if err != nil {
		return nil, err
	}
	byName := map[string]*matrix.KernelRun{}
	for i := range out {
		byName[out[i].Kernel] = &out[i]
	}
	err = db.each(ctx, func(scan func(...any) error) error {
		var name string
		var b matrix.Boot
		err := scan(&name, &b.Accel, &b.QEMU, &b.Release, &b.CPUModel, &b.CPUs, &b.End)
		if k := byName[name]; k != nil {
			k.Boots = append(k.Boots, b)
		}
		return err
	}, `SELECT b.kernel, b.accel, b.qemu, b.release, b.cpu_model, b.cpus, b.ended FROM boots b JOIN runs r USING (run) WHERE r.id = ? ORDER BY b.kernel, b.boot`, id)
	return out, err
}

// BootLog is the console log of one boot.
type BootLog struct {
	Kernel string `json:"kernel"`
	Boot   int    `json:"boot"`
	SHA256 string `json:"sha256"`
	Size   int    `json:"size"` // bytes
}

// Logs lists the console logs of a run; those of one kernel unless it is "".
func (db *DB) Logs(ctx context.Context, id, kernel string) ([]BootLog, error) {
	out := []BootLog{}
	err := db.each(ctx, func(scan func(...any) error) error {
		var l BootLog
		err := scan(&l.Kernel, &l.Boot, &l.SHA256, &l.Size)
		out = append(out, l)
		return err
	}, `SELECT b.kernel, b.boot, l.sha256, l.size FROM runs r JOIN boots b USING (run) JOIN logs l ON l.sha256 = b.log
		WHERE r.id = ? AND (? = '' OR b.kernel = ?) ORDER BY b.kernel, b.boot`, id, kernel, kernel)
	return out, err
}
