package history

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver sqlite

	"kqual/internal/atomicfile"
)

// Name is the file in a state directory; CheckedName says beside it in which
// state it was last found whole.
const (
	Name        = "history.db"
	CheckedName = Name + ".checked"
)

// DB is an open history. Its methods may be called from any goroutine.
type DB struct {
	sql  *sql.DB
	path string
	// SetAside is where a damaged file was moved when this one was opened, or "".
	SetAside string
	// Damage says what was wrong with it.
	Damage string

	writes bool
}

// A damaged file is what Read and every query report; Open moves it away.
type damaged struct{ what string }

func (d *damaged) Error() string {
	return "the file is damaged: " + d.what + "; the next kqual nightly or history import sets it aside and begins a new one"
}

// Open opens the history in a state directory for writing and makes it where
// there is none. The file is checked as a whole; a damaged one is moved aside,
// never overwritten, and a new history begins.
func Open(ctx context.Context, dir string) (*DB, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	path := filepath.Join(dir, Name)
	db, err := open(ctx, path, true, true)
	var bad *damaged
	if !errors.As(err, &bad) {
		return db, err
	}
	aside, moveErr := setAside(path)
	if moveErr != nil {
		return nil, errors.Join(err, moveErr)
	}
	if db, err = open(ctx, path, true, true); err != nil {
		return nil, err
	}
	db.SetAside, db.Damage = aside, bad.what
	return db, nil
}

// Read opens the history for reading. The file is checked as a whole unless
// nothing has changed it since it was last found whole and closed.
func Read(ctx context.Context, dir string) (*DB, error) {
	path := filepath.Join(dir, Name)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no history in %s; kqual nightly makes one, or kqual history import", dir)
	}
	return open(ctx, path, false, !stampValid(path))
}

func open(ctx context.Context, path string, write, check bool) (_ *DB, err error) {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "foreign_keys(1)"}}
	if write {
		q["_pragma"] = append(q["_pragma"], "journal_mode(WAL)", "synchronous(FULL)")
		q.Set("_txlock", "immediate")
	} else {
		q["_pragma"] = append(q["_pragma"], "query_only(1)")
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: abs, RawQuery: q.Encode()}).String())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = db.Close()
			err = fmt.Errorf("open the history %s: %w", path, err)
		}
	}()
	var version int
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return nil, damageOf(ctx, err)
	}
	if check {
		if err := integrity(ctx, db); err != nil {
			return nil, err
		}
	}
	if write {
		err = migrate(ctx, db)
	} else if version != len(migrations) {
		err = fmt.Errorf("it has schema version %d, this kqual reads %d; the next kqual nightly or history import brings it up to date", version, len(migrations))
	}
	if err != nil {
		return nil, err
	}
	return &DB{sql: db, path: path, writes: write}, nil
}

// integrity reads the whole file. Source: https://www.sqlite.org/pragma.html,
// integrity_check: one row "ok", or one per fault.
func integrity(ctx context.Context, db *sql.DB) error {
	var first string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&first); err != nil {
		return damageOf(ctx, err)
	}
	if first != "ok" {
		return &damaged{first}
	}
	return nil
}

// Primary result codes of SQLite that mean that the file is not what it should
// be. Source: https://www.sqlite.org/rescode.html.
const (
	sqliteCorrupt = 11
	sqliteNotADB  = 26
)

// damageOf tells a damaged file from what can go wrong otherwise.
func damageOf(ctx context.Context, err error) error {
	var coded interface{ Code() int }
	if ctx.Err() == nil && errors.As(err, &coded) {
		if c := coded.Code() & 0xff; c == sqliteCorrupt || c == sqliteNotADB {
			return &damaged{err.Error()}
		}
	}
	return err
}

// setAside renames the file and what SQLite keeps beside it.
func setAside(path string) (string, error) {
	aside := path + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := os.Rename(path, aside); err != nil {
		return "", err
	}
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return aside, nil
}

// Close closes the history. After writing, the file as it is now counts as
// checked.
func (db *DB) Close() error {
	err := db.sql.Close()
	if err == nil && db.writes {
		if s, ok := stampOf(db.path); ok {
			err = atomicfile.Write(filepath.Join(filepath.Dir(db.path), CheckedName), []byte(s))
		}
	}
	return err
}

// stampOf names a state of the file; not ok while something is still to be
// written back to it.
func stampOf(path string) (string, bool) {
	if st, err := os.Stat(path + "-wal"); err == nil && st.Size() > 0 {
		return "", false
	}
	st, err := os.Stat(path)
	if err != nil {
		return "", false
	}
	return fmt.Sprintf("%d bytes, changed %s\n", st.Size(), st.ModTime().UTC().Format(time.RFC3339Nano)), true
}

func stampValid(path string) bool {
	saved, err := os.ReadFile(filepath.Join(filepath.Dir(path), CheckedName))
	s, ok := stampOf(path)
	return err == nil && ok && string(saved) == s
}
