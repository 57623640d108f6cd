package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"kqual/internal/history"
	"kqual/internal/nightly"
	"kqual/reports"
)

const cellsOfANight = 4

// cellLine is the line about a finished cell: kernel, release, filesystem and
// scenario, watch.
var cellLine = regexp.MustCompile(`^(\S+) \S+ (\S+/\S+) (IN_DELETE\S*): clean `)

// killed is a state directory whose nightly is killed, and what was promised.
type killed struct {
	*testing.T
	state, file string
	done        []string        // nights that came to their end
	told        map[string]bool // cells of the night that has not, as they were told of
}

func (k *killed) args() []string {
	return []string{"nightly", "-m", k.file, "--state", k.state, "--force", "--keep", "3"}
}

// note takes down what a call has said, and that it measured nothing again.
func (k *killed) note(said []string) {
	k.Helper()
	for _, line := range said {
		if m := cellLine.FindStringSubmatch(line); m != nil {
			cell := strings.Join(m[1:], "/")
			if k.told[cell] {
				k.Errorf("measured again: %s", line)
			}
			k.told[cell] = true
		}
	}
}

// ended takes down that a call came to its end, which is a night more.
func (k *killed) ended(code int, said []string) {
	k.Helper()
	k.note(said)
	if code != 0 || len(k.told) != cellsOfANight {
		k.Fatalf("exit %d, %d cells in all:\n%s", code, len(k.told), strings.Join(said, "\n"))
	}
	nights, err := nightly.Nights(k.state)
	if err != nil || len(nights) == 0 || len(k.done) > 0 && nights[len(nights)-1] == k.done[len(k.done)-1] {
		k.Fatalf("no new night: %v, %v", nights, err)
	}
	k.done, k.told = append(k.done, nights[len(nights)-1]), map[string]bool{}
}

// check looks at what a kill has left, without touching it, and says what it had
// interrupted.
func (k *killed) check() (during string) {
	k.Helper()
	db := k.historyAsItIs()
	if db != nil {
		defer db.Close()
		var verdict string
		if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
			k.Errorf("integrity_check: %s, %v", verdict, err)
		}
	}
	for _, id := range k.done {
		var sum string
		var cells, exit int
		err := db.QueryRow(`SELECT runs.sha256, (SELECT count(*) FROM cells WHERE cells.run = runs.run AND verdict = 'clean'), nights.exit
			FROM runs JOIN nights USING (run) WHERE id = ? AND state = 'done'`, id).Scan(&sum, &cells, &exit)
		if err != nil || cells != cellsOfANight || exit != 0 {
			k.Errorf("night %s is not in the history as it was: %d cells, exit %d, %v", id, cells, exit, err)
		}
	}
	nights, err := nightly.Nights(k.state)
	if err != nil {
		k.Fatal(err)
	}
	if len(nights) == 0 || slices.Contains(k.done, nights[len(nights)-1]) {
		if len(k.told) > 0 {
			k.Errorf("the night that had %d cells is gone: %v", len(k.told), nights)
		}
		return "before its directory is made"
	}
	last := nights[len(nights)-1]
	path := filepath.Join(nightly.Dir(k.state, last), nightly.ResultsName)
	if _, err := os.Stat(path); err != nil {
		if len(k.told) > 0 {
			k.Errorf("%d cells were told of: %v", len(k.told), err)
		}
		return "before anything is measured"
	}
	r, err := reports.Load(path)
	if err != nil {
		k.Fatal(err)
	}
	saved := map[string]bool{}
	for _, kernel := range r.Kernels {
		for _, c := range kernel.Cells {
			saved[c.Cell.ID()] = c.Outcome != nil
		}
	}
	for cell := range k.told {
		if !saved[cell] {
			k.Errorf("told of and not saved: %s", cell)
		}
	}
	filed := 0
	if db != nil {
		if err := db.QueryRow("SELECT count(*) FROM runs WHERE id = ?", last).Scan(&filed); err != nil {
			k.Error(err)
		}
	}
	_, err = os.Stat(filepath.Join(nightly.Dir(k.state, last), nightly.NightName))
	switch {
	case err == nil:
		// Published, and killed before its exit: the next call is a night of its own.
		k.done, k.told = append(k.done, last), map[string]bool{}
		return "after night.json"
	case filed > 0:
		return "between the history and night.json"
	case r.State == reports.StateDone:
		return "between the last cell and the history"
	}
	return fmt.Sprintf("with %d of %d cells", len(k.told), cellsOfANight)
}

// historyAsItIs opens a copy, so that what the kill has left stays as it is for
// the next nightly. nil where there is none yet.
func (k *killed) historyAsItIs() *sql.DB {
	k.Helper()
	dir := k.TempDir()
	for _, suffix := range []string{"", "-wal"} {
		data, err := os.ReadFile(filepath.Join(k.state, history.Name+suffix))
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, history.Name+suffix), data, 0o644)
		}
		if err != nil {
			k.Fatal(err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, history.Name)); err != nil {
		return nil
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, history.Name))
	if err != nil {
		k.Fatal(err)
	}
	return db
}

// Killed at any moment, a nightly leaves a whole history, loses no cell that it
// has told of and no night that it has finished, and the next one goes on. Two
// kills of three fall anywhere in the time that a night takes, one behind its
// last cell, where it is filed and published.
func TestVMAKilledNightlyGoesOn(t *testing.T) {
	needVM(t)
	kills, takes := 3, time.Minute
	if os.Getenv("KQUAL_FULL") == "1" {
		kills, takes = 30, 5*time.Minute
	}
	// A call after midnight may make two nights: yesterday's and tonight's.
	if left := time.Until(time.Now().UTC().Truncate(24 * time.Hour).Add(24 * time.Hour)); left < takes {
		t.Logf("waiting for midnight, %v", left)
		time.Sleep(left)
	}
	dir := t.TempDir()
	k := &killed{T: t, state: filepath.Join(dir, "state"), file: filepath.Join(dir, "matrix.yaml"), told: map[string]bool{}}
	text := strings.NewReplacer("KERNEL", fixedKernel, "OTHER", otherKernel).Replace(nightsMatrix)
	if err := os.WriteFile(k.file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	// The first night tells how long one takes, and its end.
	begin := time.Now()
	first := start(t, k.args()...)
	lastCell := func(line string) bool {
		if m := cellLine.FindStringSubmatch(line); m != nil {
			k.told[strings.Join(m[1:], "/")] = true
		}
		return len(k.told) == cellsOfANight
	}
	if !first.until(lastCell) {
		t.Fatalf("the first night:\n%s", strings.Join(first.said, "\n"))
	}
	ending := time.Now()
	first.until(func(string) bool { return false })
	_ = first.Wait()
	night, end := time.Since(begin), time.Since(ending)
	k.ended(first.ProcessState.ExitCode(), nil)
	t.Logf("a night takes %.1f s, %.2f s of them behind its last cell", night.Seconds(), end.Seconds())

	rng := rand.New(rand.NewPCG(7, 30))
	for n := 0; n < kills; {
		call := start(t, k.args()...)
		begin, within := time.Now(), night
		if n%3 == 2 {
			left := cellsOfANight - len(k.told)
			call.until(func(line string) bool {
				if cellLine.MatchString(line) {
					left--
				}
				return left <= 0
			})
			begin, within = time.Now(), end
		}
		after := time.Duration(rng.Int64N(int64(within)))
		time.Sleep(time.Until(begin.Add(after)))
		if !call.kill() {
			k.ended(call.ProcessState.ExitCode(), call.said)
			continue
		}
		n++
		k.note(call.said)
		t.Logf("kill %d, after %.2f s: %s", n, after.Seconds(), k.check())
		if t.Failed() {
			t.Fatalf("it had said:\n%s", strings.Join(call.said, "\n"))
		}
	}
	stdout, stderr, code := run(t, k.args()...)
	k.ended(code, strings.Split(stderr, "\n"))
	if t.Failed() {
		t.Fatalf("%s%s", stdout, stderr)
	}
	k.checkTheEnd()
}

// checkTheEnd looks at the state as a reader does.
func (k *killed) checkTheEnd() {
	k.Helper()
	stdout, stderr, code := run(k.T, "history", "list", "--state", k.state, "--limit", "0", "--json")
	var runs []history.Run
	if err := json.Unmarshal([]byte(stdout), &runs); err != nil || code != 0 {
		k.Fatalf("exit %d, %v\n%s", code, err, stderr)
	}
	var listed []string
	for _, r := range slices.Backward(runs) {
		listed = append(listed, r.ID)
		if r.State != reports.StateDone || r.Exit != 0 || r.Verdicts["clean"] != cellsOfANight {
			k.Errorf("night %s: %+v", r.ID, r)
		}
	}
	if !slices.Equal(listed, k.done) {
		k.Errorf("the history has the nights %v, want %v", listed, k.done)
	}
	nights, err := nightly.Nights(k.state)
	if want := k.done[max(0, len(k.done)-3):]; err != nil || !slices.Equal(nights, want) {
		k.Errorf("directories %v, %v; want %v", nights, err, want)
	}
	err = filepath.WalkDir(k.state, func(path string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasPrefix(d.Name(), ".") && d.Name() != ".lock" {
			k.Errorf("left %s", path)
		}
		return err
	})
	if err != nil {
		k.Error(err)
	}
	k.Logf("%d nights came to their end, none is lost", len(k.done))
}
