package matrix

import (
	"strings"
	"testing"
	"time"
)

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil {
		panic(err)
	}
	return t
}

func TestWaiverHoldsThroughItsLastDay(t *testing.T) {
	runs, verdicts := findingsOf(seen{"k", "6.1.1", VerdictAffected, VerdictClean})
	rules := []Rule{{Verdict: []VerdictKind{VerdictClean}, Why: "fixed"}}
	w := []Waiver{{Name: "w1", Watch: []string{"IN_DELETE"}, Owner: "jo", Reason: "in the works", Expires: day("2026-11-30")}}
	for _, c := range []struct {
		at   time.Time
		exit int
		why  string
	}{
		{day("2026-11-24"), ExitMet, "1 of 2 cells met the expectation, 1 waived"},
		{day("2026-11-30").Add(23 * time.Hour), ExitMet, "1 waived"},
		{day("2026-12-01"), ExitUnmet, "waiver w1 of jo expired on 2026-11-30; 1 of 2 cells did not meet the expectation"},
	} {
		g := Gate(rules, runs, verdicts).Waive(w, c.at)
		if g.Exit != c.exit || !strings.Contains(g.Why, c.why) {
			t.Errorf("%v: exit %d, %q; want %d, %q", c.at, g.Exit, g.Why, c.exit, c.why)
		}
	}
}

func TestWaiverCoversOnlyItsCells(t *testing.T) {
	runs, verdicts := findingsOf(seen{"k", "6.1.1", VerdictAffected, VerdictAffected})
	rules := []Rule{{Verdict: []VerdictKind{VerdictClean}, Why: "fixed"}}
	g := Gate(rules, runs, verdicts).Waive([]Waiver{{Name: "w1", Watch: []string{"*nlink"}, Expires: day("2027-01-01")}}, day("2026-11-24"))
	if g.Exit != ExitUnmet || g.Unmet != 1 || g.Waived != 1 || g.Cells[1].State != GateWaived {
		t.Errorf("got %+v", g)
	}
}

func TestExpiredWaiverFailsThoughNoCellNeedsIt(t *testing.T) {
	runs, verdicts := findingsOf(seen{"k", "6.1.1", VerdictClean, VerdictClean})
	g := Gate(nil, runs, verdicts).Waive([]Waiver{{Name: "old", Owner: "jo", Expires: day("2026-01-01")}}, day("2026-11-24"))
	if g.Exit != ExitUnmet || g.Why != "waiver old of jo expired on 2026-01-01" {
		t.Errorf("exit %d, %q", g.Exit, g.Why)
	}
}
