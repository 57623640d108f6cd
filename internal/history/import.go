package history

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"

	"kqual/matrix"
	"kqual/reports"
)

// maxLog is how much of a console log is kept, in bytes: its end.
const maxLog = 1 << 20

// Source is a run to import.
type Source struct {
	ID   string // what people call the run; "" for its start and hash
	Path string // of the results, for the record
	Logs string // directory of its console logs; "" where there are none
}

// Import files a report. The same report again changes nothing and gives the
// name that it has. Another report under a name that is taken is an error.
func (db *DB) Import(ctx context.Context, r *reports.Report, src Source) (id string, isNew bool, err error) {
	data, err := reports.Encode(r)
	if err != nil {
		return "", false, err
	}
	hash := sha256.Sum256(data)
	sum := hex.EncodeToString(hash[:])
	tx, err := db.sql.BeginTx(ctx, nil)
	if err != nil {
		return "", false, fmt.Errorf("write to the history: %w", err)
	}
	defer func() {
		if err != nil {
			_ = tx.Rollback()
		}
	}()
	switch err := tx.QueryRowContext(ctx, "SELECT id FROM runs WHERE sha256 = ?", sum).Scan(&id); {
	case err == nil:
		return id, false, tx.Rollback()
	case !errors.Is(err, sql.ErrNoRows):
		return "", false, err
	}
	id = cmp.Or(src.ID, stamp(r.Started)+"-"+sum[:8])
	var taken int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM runs WHERE id = ?", id).Scan(&taken); err != nil {
		return "", false, err
	}
	if taken > 0 {
		return "", false, fmt.Errorf("the history has another run named %s; give this one another name", id)
	}
	packed, err := pack(data)
	if err != nil {
		return "", false, err
	}
	res, err := tx.ExecContext(ctx, `INSERT INTO runs (id, started, finished, state, tool_version, matrix_name, matrix_sha256,
		host_kernel, host_cpus, host_cpu_model, pressure, exit, why, path, sha256, results) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)`,
		id, stamp(r.Started), stamp(r.Finished), r.State, r.Tool.Version, r.Matrix.Name, r.Matrix.SHA256,
		r.Host.Kernel, r.Host.CPUs, r.Host.CPUModel, r.Sampling.Pressure, r.Gate.Exit, r.Gate.Why, src.Path, sum, packed)
	if err != nil {
		return "", false, fmt.Errorf("write to the history: %w", err)
	}
	run, err := res.LastInsertId()
	if err != nil {
		return "", false, err
	}
	im := importer{ctx: ctx, tx: tx, run: run, logs: src.Logs}
	for _, k := range r.Kernels {
		im.kernel(k)
	}
	im.cells(r)
	im.exec("INSERT INTO tallies SELECT run, verdict, count(*) FROM cells WHERE run = ? GROUP BY verdict", run)
	if im.err != nil {
		return "", false, fmt.Errorf("write run %s to the history: %w", id, im.err)
	}
	return id, true, tx.Commit()
}

// stamp is how times are written: sorting them as text sorts them in time.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// importer writes the parts of one run and keeps the first error.
type importer struct {
	ctx  context.Context
	tx   *sql.Tx
	run  int64
	logs string
	err  error
}

func (im *importer) exec(query string, args ...any) {
	if im.err == nil {
		_, im.err = im.tx.ExecContext(im.ctx, query, args...)
	}
}

func (im *importer) kernel(k matrix.KernelRun) {
	details, _ := json.Marshal(k.Provenance.Details)
	config, _ := json.Marshal(k.Provenance.Config)
	var side, reason any
	if k.Error != nil {
		side, reason = string(k.Error.Side), k.Error.Reason
	}
	p := k.Provenance
	im.exec("INSERT INTO kernels VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", im.run, k.Kernel, p.Source, p.Version, k.Machine.Architecture(), p.SHA256,
		string(details), string(config), k.Machine.VCPUs, k.Machine.Memory, k.Machine.CPU, side, reason)
	last := map[string]int{} // a boot carried over may name a log as one of tonight's does
	for i, b := range k.Boots {
		last[filepath.Base(b.ConsoleLog)] = i
	}
	for i, b := range k.Boots {
		if last[filepath.Base(b.ConsoleLog)] != i {
			b.ConsoleLog = ""
		}
		im.exec("INSERT INTO boots VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", im.run, k.Kernel, i, b.Accel, b.QEMU, b.Release, b.Clocksource,
			b.CPUModel, b.CPUs, b.Image, int64(b.FirstRecord), int64(b.Total), int64(b.Cells), b.End, im.log(b.ConsoleLog))
	}
}

// log keeps the end of a console log by its content; nil where there is none.
// Only the logs that lie beside the results are opened, whatever path they name.
func (im *importer) log(path string) any {
	if path == "" || im.logs == "" || im.err != nil {
		return nil
	}
	data, err := tailOf(filepath.Join(im.logs, filepath.Base(path)), maxLog)
	if err != nil {
		return nil // pruned, or of another machine
	}
	hash := sha256.Sum256(data)
	sum := hex.EncodeToString(hash[:])
	packed, err := pack(data)
	if err != nil {
		im.err = err
		return nil
	}
	im.exec("INSERT OR IGNORE INTO logs VALUES (?,?,?)", sum, len(data), packed)
	return sum
}

func tailOf(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !st.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case st.Size() > limit:
		if _, err := f.Seek(-limit, io.SeekEnd); err != nil {
			return nil, err
		}
	}
	return io.ReadAll(io.LimitReader(f, limit))
}

func (im *importer) cells(r *reports.Report) {
	if im.err != nil {
		return
	}
	raw := map[string]matrix.CellRun{}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			raw[c.Cell.ID()] = c
		}
	}
	insert, err := im.tx.PrepareContext(im.ctx, "INSERT INTO cells VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
	if err != nil {
		im.err = err
		return
	}
	defer insert.Close()
	find, err := im.tx.PrepareContext(im.ctx, "SELECT cell FROM names WHERE kernel = ? AND filesystem = ? AND scenario = ? AND watch = ?")
	if err != nil {
		im.err = err
		return
	}
	defer find.Close()
	for _, c := range r.Cells {
		var cell int64
		name := []any{c.Kernel, c.Filesystem, c.Scenario, c.Watch}
		switch err := find.QueryRowContext(im.ctx, name...).Scan(&cell); {
		case errors.Is(err, sql.ErrNoRows):
			res, err := im.tx.ExecContext(im.ctx, "INSERT INTO names (kernel, filesystem, scenario, watch) VALUES (?,?,?,?)", name...)
			if err == nil {
				cell, err = res.LastInsertId()
			}
			if im.err = err; err != nil {
				return
			}
		case err != nil:
			im.err = err
			return
		}
		row := raw[c.ID()]
		v := c.Verdict
		args := []any{cell, im.run, c.Control, v.Kind, v.Count, v.Of, v.Lo, v.Hi, v.Reason, c.Gate}
		args = append(args, evidenceOf(row)...)
		args = append(args, countsOf(row)...)
		if _, im.err = insert.ExecContext(im.ctx, args...); im.err != nil {
			return
		}
	}
}

// evidenceOf are the columns boot, evidence and measured.
func evidenceOf(c matrix.CellRun) []any {
	out := make([]any, 3)
	if c.Outcome != nil {
		out[0] = c.Boot
	}
	if c.Evidence != nil {
		out[1], out[2] = c.Evidence.Run, stamp(c.Evidence.Measured)
	}
	return out
}

// countsOf are the columns of matrix.Counts; all NULL where nothing was measured.
func countsOf(c matrix.CellRun) []any {
	if c.Outcome == nil || c.Outcome.Status != matrix.Measured {
		return make([]any, 12)
	}
	n := c.Outcome.Counts
	return []any{
		n.Trials, n.Contested, n.Decisive, n.Stale, n.StaleDecisive, n.Recognised, n.RecognisedDecisive,
		n.Lost, n.Duplicates, n.Overflows, n.Foreign, n.FalseAlarms,
	}
}

func pack(data []byte) ([]byte, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer enc.Close()
	return enc.EncodeAll(data, nil), nil
}

func unpack(data []byte) ([]byte, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	return dec.DecodeAll(data, nil)
}
