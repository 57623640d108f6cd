package nightly

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"kqual/internal/atomicfile"
	"kqual/internal/history"
	"kqual/matrix"
	"kqual/reports"
)

// What a state directory and a night's directory hold.
const (
	RunsDir     = "runs"
	IndexName   = "index.html"
	ResultsName = "results.json"
	ChangesName = "changes.txt" // what changed, as kqual nightly prints it
	NightName   = "night.json"  // written last: without it the night is unfinished
)

// maxResume is how old an unfinished night may be to be gone on with: later, it
// would mix two days' machines.
const maxResume = 24 * time.Hour

// Published are the files that are rendered of a night, by format and name.
var Published = [][2]string{{"html", "report.html"}, {"markdown", "report.md"}, {"junit", "junit.xml"}, {"summary", "summary.md"}}

// removedPrefix begins the name of a night's directory while it is being removed.
const removedPrefix = ".removed-"

var nightID = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})-(\d+)$`)

// Nights lists the nights that have a directory, the oldest first.
func Nights(state string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(state, RunsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && nightID.MatchString(e.Name()) {
			out = append(out, e.Name())
		}
	}
	number := func(id string) int {
		n, _ := strconv.Atoi(nightID.FindStringSubmatch(id)[2])
		return n
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(a[:len("2006-01-02")], b[:len("2006-01-02")]), cmp.Compare(number(a), number(b)))
	})
	return out, nil
}

// Dir is the directory of a night.
func Dir(state, id string) string { return filepath.Join(state, RunsDir, id) }

// Choose says which night to work on: the last one where it is unfinished, of
// the same matrix and kqual and recent enough, else a new one. unfinished are
// its results so far, nil for a new night; left says why the last one was left
// as it is, "" where there is nothing to say.
func Choose(state, matrixSHA256 string, tool reports.Tool, now time.Time) (id string, unfinished *reports.Report, left string, err error) {
	nights, err := Nights(state)
	if err != nil {
		return "", nil, "", err
	}
	if len(nights) > 0 {
		last := nights[len(nights)-1]
		if _, err := os.Stat(filepath.Join(Dir(state, last), NightName)); errors.Is(err, fs.ErrNotExist) {
			r, err := reports.Load(filepath.Join(Dir(state, last), ResultsName))
			switch {
			case errors.Is(err, fs.ErrNotExist): // killed before anything was known
				if Today(last, now) {
					return last, nil, "", nil
				}
			case err != nil:
				left = err.Error()
			case r.Matrix.SHA256 != matrixSHA256:
				left = "it is of another matrix file"
			case r.Tool != tool:
				left = fmt.Sprintf("it is of %s %s", r.Tool.Name, r.Tool.Version)
			case now.Sub(r.Started) > maxResume:
				left = fmt.Sprintf("it began %s ago", matrix.AgeText(now.Sub(r.Started)))
			default:
				return last, r, "", nil
			}
			if left != "" {
				left = fmt.Sprintf("night %s is unfinished and stays so: %s", last, left)
			}
		}
	}
	day := now.UTC().Format(time.DateOnly)
	n := 1
	for _, id := range nights {
		if m := nightID.FindStringSubmatch(id); m[1] == day {
			k, _ := strconv.Atoi(m[2])
			n = max(n, k+1)
		}
	}
	return fmt.Sprintf("%s-%d", day, n), nil, left, nil
}

// Today says whether a night began on the day of now, UTC.
func Today(id string, now time.Time) bool {
	return nightID.FindStringSubmatch(id)[1] == now.UTC().Format(time.DateOnly)
}

// NothingRan says whether the host kept a run from even starting, as without
// QEMU: such a night is measured again.
func NothingRan(r *reports.Report) bool {
	for _, k := range r.Kernels {
		if k.Error == nil || k.Error.Side != matrix.SideHost || len(k.Boots) > 0 {
			return false
		}
	}
	return true
}

// Tidy clears away what a nightly that was killed has left: files that were half
// written, and nights that were being removed. Nobody else may be working in
// the state directory.
func Tidy(state string) error {
	if err := atomicfile.Clean(state, IndexName, history.CheckedName); err != nil {
		return err
	}
	nights, err := Nights(state)
	if err != nil {
		return err
	}
	names := []string{ResultsName, ChangesName, NightName}
	for _, f := range Published {
		names = append(names, f[1])
	}
	for _, id := range nights {
		if err := atomicfile.Clean(Dir(state, id), names...); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(filepath.Join(state, RunsDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), removedPrefix) {
			err = errors.Join(err, os.RemoveAll(Dir(state, e.Name())))
		}
	}
	return err
}

// Prune removes the directories of the oldest finished nights beyond keep; the
// history keeps their results. Nights in kept stay.
func Prune(state string, keep int, kept map[string]bool) (removed []string, err error) {
	nights, err := Nights(state)
	if err != nil {
		return nil, err
	}
	for _, id := range nights[:max(0, len(nights)-keep)] {
		if _, err := os.Stat(filepath.Join(Dir(state, id), NightName)); err != nil || kept[id] {
			continue
		}
		// Under another name first: half of a night must not look like one.
		going := Dir(state, removedPrefix+id)
		if err := os.Rename(Dir(state, id), going); err != nil {
			return removed, err
		}
		if err := os.RemoveAll(going); err != nil {
			return removed, err
		}
		removed = append(removed, id)
	}
	return removed, nil
}
