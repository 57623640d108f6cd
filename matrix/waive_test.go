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

func TestWaiversAreReadStrictly(t *testing.T) {
	const good = "waive: [{name: w1, watch: IN_DELETE, owner: jo, reason: in the works, expires: 2027-01-31}]"
	s, err := Parse("m", []byte(minimal+good), testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	if w := s.Waive[0]; w.Name != "w1" || w.Owner != "jo" || !w.Expires.Equal(day("2027-01-31")) || w.Line == 0 {
		t.Errorf("got %+v", w)
	}
	for _, c := range []struct{ old, new, want string }{
		{"owner: jo, ", "", "waive[0].owner: is missing"},
		{"reason: in the works, ", "", "waive[0].reason: is missing"},
		{", expires: 2027-01-31", "", "waive[0].expires: is missing"},
		{"2027-01-31", "2027-02-30", "waive[0].expires: is"},
		{"2027-01-31", "soon", `waive[0].expires: is the text "soon"; write a day such as 2027-01-31`},
		{"watch: IN_DELETE", "watch: nope", `waive[0].watch: "nope" matches no watch`},
	} {
		_, err := Parse("m", []byte(minimal+strings.Replace(good, c.old, c.new, 1)), testCatalog())
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want it to say %s", c.new, err, c.want)
		}
	}
}
