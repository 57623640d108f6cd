package history

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations lead from one PRAGMA user_version to the next: the first makes
// version 1 from an empty file. What was released is never changed, only added
// to; testdata keeps a history of each version (go test -run Schema -update).
var migrations = []string{`
CREATE TABLE runs (
	run            INTEGER PRIMARY KEY,
	id             TEXT NOT NULL UNIQUE,
	started        TEXT NOT NULL,
	finished       TEXT NOT NULL,
	state          TEXT NOT NULL,
	tool_version   TEXT NOT NULL,
	matrix_name    TEXT NOT NULL,
	matrix_sha256  TEXT NOT NULL,
	host_kernel    TEXT NOT NULL,
	host_cpus      INTEGER NOT NULL,
	host_cpu_model TEXT NOT NULL,
	pressure       INTEGER NOT NULL,
	exit           INTEGER NOT NULL,
	why            TEXT NOT NULL,
	path           TEXT NOT NULL,
	sha256         TEXT NOT NULL UNIQUE,
	results        BLOB NOT NULL
);
CREATE INDEX runs_by_time ON runs (matrix_name, started);
CREATE TABLE kernels (
	run          INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	name         TEXT NOT NULL,
	source       TEXT NOT NULL,
	version      TEXT NOT NULL,
	arch         TEXT NOT NULL,
	sha256       TEXT NOT NULL,
	details      TEXT NOT NULL,
	config       TEXT NOT NULL,
	vcpus        INTEGER NOT NULL,
	memory       INTEGER NOT NULL,
	cpu          TEXT NOT NULL,
	error_side   TEXT,
	error_reason TEXT,
	PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE names (
	cell       INTEGER PRIMARY KEY,
	kernel     TEXT NOT NULL,
	filesystem TEXT NOT NULL,
	scenario   TEXT NOT NULL,
	watch      TEXT NOT NULL,
	UNIQUE (kernel, filesystem, scenario, watch)
);
CREATE TABLE cells (
	cell                INTEGER NOT NULL REFERENCES names,
	run                 INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	control             INTEGER NOT NULL,
	verdict             TEXT NOT NULL,
	count               INTEGER NOT NULL,
	of                  INTEGER NOT NULL,
	lo                  REAL NOT NULL,
	hi                  REAL NOT NULL,
	reason              TEXT NOT NULL,
	gate                TEXT NOT NULL,
	boot                INTEGER,
	evidence            TEXT,
	measured            TEXT,
	trials              INTEGER,
	contested           INTEGER,
	decisive            INTEGER,
	stale               INTEGER,
	stale_decisive      INTEGER,
	recognised          INTEGER,
	recognised_decisive INTEGER,
	lost                INTEGER,
	duplicates          INTEGER,
	overflows           INTEGER,
	foreign_opens       INTEGER,
	false_alarms        INTEGER,
	PRIMARY KEY (cell, run)
) WITHOUT ROWID;
CREATE INDEX cells_by_run ON cells (run);
CREATE TABLE tallies (
	run     INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	verdict TEXT NOT NULL,
	n       INTEGER NOT NULL,
	PRIMARY KEY (run, verdict)
) WITHOUT ROWID;
CREATE TABLE boots (
	run             INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	kernel          TEXT NOT NULL,
	boot            INTEGER NOT NULL,
	accel           TEXT NOT NULL,
	qemu            TEXT NOT NULL,
	release         TEXT NOT NULL,
	clocksource     TEXT NOT NULL,
	cpu_model       TEXT NOT NULL,
	cpus            INTEGER NOT NULL,
	image           TEXT NOT NULL,
	first_record_ns INTEGER NOT NULL,
	total_ns        INTEGER NOT NULL,
	cells_ns        INTEGER NOT NULL,
	ended           TEXT NOT NULL,
	log             TEXT REFERENCES logs,
	PRIMARY KEY (run, kernel, boot)
) WITHOUT ROWID;
CREATE INDEX boots_by_log ON boots (log);
CREATE TABLE logs (
	sha256 TEXT PRIMARY KEY,
	size   INTEGER NOT NULL,
	data   BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE nights (
	run      INTEGER PRIMARY KEY REFERENCES runs ON DELETE CASCADE,
	baseline TEXT NOT NULL,
	exit     INTEGER NOT NULL,
	why      TEXT NOT NULL,
	changes  TEXT NOT NULL
);
CREATE TABLE tags (
	name    TEXT PRIMARY KEY,
	run     INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	created TEXT NOT NULL
) WITHOUT ROWID;
CREATE VIEW verdicts AS
SELECT r.id AS night, r.started, n.kernel, n.filesystem, n.scenario, n.watch, c.verdict, c.count, c.of, c.lo, c.hi,
       c.reason, c.gate, c.evidence, k.version, k.sha256, b.accel, b.cpu_model, b.release
FROM cells c JOIN runs r USING (run) JOIN names n USING (cell)
     JOIN kernels k ON k.run = c.run AND k.name = n.kernel
     LEFT JOIN boots b ON b.run = c.run AND b.kernel = n.kernel AND b.boot = c.boot;
`}

// migrate brings the schema to the newest version, each step whole or not at
// all. A file of a newer kqual is an error.
func migrate(ctx context.Context, db *sql.DB) error {
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return fmt.Errorf("it has schema version %d, this kqual knows %d; use the kqual that wrote it", version, len(migrations))
	}
	for ; version < len(migrations); version++ {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, migrations[version]+fmt.Sprintf("PRAGMA user_version = %d;", version+1))
		if err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("schema version %d: %w", version+1, err)
		}
		if err := tx.Commit(); err != nil {
			return err
		}
	}
	return nil
}
