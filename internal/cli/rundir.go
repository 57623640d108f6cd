package cli

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"kqual/internal/atomicfile"
	"kqual/kernels"
	"kqual/reports"
)

// Where runs go that are not told where, and what stands for the last of them.
const (
	runsDir    = "runs"
	latestName = "latest"
)

// What a run keeps of what it was asked.
const (
	specName = "matrix.yaml"
	lockName = "matrix.lock"
)

// runID is the name of a run's directory: when it began, in UTC, so that names
// sort by time, and four digits that tell two of one second apart.
var runID = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}-\d{6}-[0-9a-f]{4}$`)

// newRunDir makes the directory of a new run.
func newRunDir(now time.Time) (string, error) {
	if err := os.MkdirAll(runsDir, 0o755); err != nil {
		return "", fmt.Errorf("make the directory of runs: %w", err)
	}
	for {
		dir := filepath.Join(runsDir, fmt.Sprintf("%s-%04x", now.UTC().Format("2006-01-02-150405"), rand.N(1<<16)))
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("make the run's directory: %w", err)
		}
		return dir, nil
	}
}

// isRun says whether dir is one of runs/, not one that --out named.
func isRun(dir string) bool {
	return filepath.Dir(dir) == runsDir && runID.MatchString(filepath.Base(dir))
}

// pointLatest makes runs/latest stand for dir. It is never missing meanwhile.
func pointLatest(dir string) error {
	link := filepath.Join(runsDir, latestName)
	next := filepath.Join(runsDir, nextLatest+filepath.Base(dir))
	// What runs left that were killed here, as one of this name may have been.
	left, _ := filepath.Glob(filepath.Join(runsDir, nextLatest+"*"))
	for _, l := range left {
		if l == next || !busy(filepath.Join(runsDir, strings.TrimPrefix(filepath.Base(l), nextLatest))) {
			_ = os.Remove(l)
		}
	}
	if err := os.Symlink(filepath.Base(dir), next); err != nil {
		return fmt.Errorf("point %s at this run: %w", link, err)
	}
	if err := os.Rename(next, link); err != nil {
		_ = os.Remove(next)
		return fmt.Errorf("point %s at this run: %w", link, err)
	}
	return nil
}

// nextLatest is how the names of links begin that become runs/latest.
const nextLatest = "." + latestName + "."

// busy says whether a process works in a run's directory.
func busy(dir string) bool {
	if _, err := os.Stat(dir); err != nil {
		return false
	}
	l := flock.New(filepath.Join(dir, claimName))
	ok, err := l.TryLock()
	if ok {
		_ = l.Unlock()
	}
	return !ok && err == nil
}

// unfinishedRun is the directory of the last run of a matrix that has cells
// without an answer; "" where there is none.
func unfinishedRun(matrixSHA256 string) (string, error) {
	entries, err := os.ReadDir(runsDir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	for _, e := range slices.Backward(entries) { // sorted by name, and so by time
		dir := filepath.Join(runsDir, e.Name())
		if !isRun(dir) {
			continue
		}
		// One that was killed before it had any results, or that cannot be read, is
		// nothing to go on with.
		r, err := reports.Load(filepath.Join(dir, resultsName))
		if err == nil && r.Matrix.SHA256 == matrixSHA256 && unfinished(r) {
			return dir, nil
		}
	}
	return "", nil
}

// unfinished says whether a run has cells without an answer.
func unfinished(r *reports.Report) bool {
	if r.State != reports.StateDone {
		return true
	}
	for _, k := range r.Kernels {
		for _, c := range k.Cells {
			if c.Outcome == nil {
				return true
			}
		}
	}
	return false
}

// chooseDir says where a run goes: to --out, to the run that is gone on with, or
// to a directory of its own.
func (a *app) chooseDir(o runOptions, matrixSHA256 string) (string, error) {
	switch {
	case o.dir != "":
		return o.dir, nil
	case !o.resume:
		return newRunDir(time.Now())
	}
	dir, err := unfinishedRun(matrixSHA256)
	switch {
	case err != nil:
		return "", err
	case dir == "":
		return "", usage(fmt.Errorf("--resume: no run of this %s in %s lacks an answer; leave --resume out to begin, or name its directory with --out", o.path, runsDir))
	}
	a.say("kqual: going on with %s", dir)
	return dir, nil
}

// keepSpec puts the matrix, and the lock where it counts, into the run's
// directory. Files of these names that no run has put there stay as they are.
func (a *app) keepSpec(o runOptions, dir string) error {
	path := filepath.Join(dir, specName)
	there, err := os.ReadFile(path)
	if err == nil && !bytes.Equal(there, o.text) {
		r, err := reports.Load(filepath.Join(dir, resultsName))
		if sum := sha256.Sum256(there); err != nil || r.Matrix.SHA256 != hex.EncodeToString(sum[:]) {
			a.say("kqual: warning: %s is of no run and stays as it is", path)
			return nil
		}
	}
	if err := atomicfile.Write(path, o.text); err != nil || !o.locked {
		return err
	}
	lock, err := os.ReadFile(kernels.LockPath(o.path))
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, lockName), lock)
}
