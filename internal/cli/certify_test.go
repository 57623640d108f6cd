package cli

import (
	"context"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"kqual/internal/certify"
)

// certify certifies a kernel of the last night and returns the statement, which
// must also be what -o writes.
func (n *nights) certify(want int, kernel, against string, args ...string) certify.Statement {
	n.t.Helper()
	n.out, n.err = lockedBuffer{}, lockedBuffer{}
	args = append([]string{
		"certify", "--kernel", kernel, "--against", against, "--state", n.path("state"), "--json",
		"-o", "markdown=" + n.path("statement.md"), "-o", "json=" + n.path("statement.json"),
	}, args...)
	if code := n.app.main(context.Background(), args); code != want {
		n.t.Fatalf("certify %s: exit %d, want %d:\n%s%s", kernel, code, want, n.out.String(), n.err.String())
	}
	var s certify.Statement
	if err := json.Unmarshal([]byte(n.out.String()), &s); err != nil {
		n.t.Fatal(err)
	}
	if data, err := os.ReadFile(n.path("statement.json")); err != nil || string(data) != n.out.String() {
		n.t.Errorf("statement.json is not what was printed: %v", err)
	}
	return s
}

func TestAKernelIsCertifiedAgainstATrustedNight(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	if code := n.app.main(context.Background(), []string{"history", "tag", first.Run, "good", "--state", n.path("state")}); code != exitOK {
		t.Fatal(n.err.String())
	}
	n.out = lockedBuffer{}
	second := n.night(exitOK)

	s := n.certify(exitOK, "a", "good")
	if s.Result != certify.Pass || len(s.Why) != 0 || len(s.Cells) != 2 || s.Run != second.Run || s.Base != first.Run {
		t.Errorf("pass: %+v", s)
	}
	rests := map[string]bool{}
	for _, r := range s.Rests {
		rests[r.What] = r.SHA256 != ""
	}
	for _, what := range []string{"kernel image", "results of " + first.Run, "results of " + second.Run, "matrix of " + second.Run} {
		if !rests[what] {
			t.Errorf("it does not rest on the %s: %v", what, s.Rests)
		}
	}
	page, err := os.ReadFile(n.path("statement.md"))
	if err != nil || !strings.HasPrefix(string(page), "# a: pass\n") || !strings.Contains(string(page), "| kernel image | `a-image` |") {
		t.Errorf("%v\n%s", err, page)
	}
	n.certify(exitOK, "bad", "good") // affected, as it must be

	// Affected now.
	n.images["b"], n.affected["b2"] = "b2", true
	n.out = lockedBuffer{}
	n.night(exitUnmet)
	if s := n.certify(exitUnmet, "b", "good"); s.Result != certify.Fail || !strings.Contains(s.Why[0], "expected clean because nothing else here is affected, got affected") {
		t.Errorf("fail: %+v", s.Why)
	}
	n.certify(exitOK, "a", "good") // it is about one kernel

	// Too little evidence, and none.
	n.weak["a"], n.images["b"] = true, ""
	n.out = lockedBuffer{}
	n.night(exitNoAnswer, "--force")
	for _, kernel := range []string{"a", "b"} {
		if s := n.certify(exitNoAnswer, kernel, "good"); s.Result != certify.NotEnough || len(s.Why) == 0 {
			t.Errorf("%s: %+v", kernel, s)
		}
	}
	// A blind host certifies nothing.
	n.weak["a"], n.images["b"], n.affected["bad-image"] = false, "b-image", false
	n.out = lockedBuffer{}
	n.night(exitNoAnswer, "--force")
	if s := n.certify(exitNoAnswer, "a", "good"); s.Result != certify.NotEnough {
		t.Errorf("a blind host: %+v", s)
	}
}

func TestAWaiverIsPartOfTheStatement(t *testing.T) {
	n := newNights(t)
	day := func(days int) string { return time.Now().UTC().AddDate(0, 0, days).Format(time.DateOnly) }
	n.matrix(nightMatrix + "waive:\n  - {name: known, kernel: b, owner: someone, reason: \"a fix is on its way\", expires: " + day(30) + "}\n")
	n.images["b"], n.affected["b2"] = "b2", true
	first := n.night(exitOK)
	n.out = lockedBuffer{}
	n.night(exitOK)
	s := n.certify(exitOK, "b", first.Run)
	if len(s.Waivers) != 1 || s.Waivers[0].Name != "known" || s.Cells[0].Waiver != "known" {
		t.Errorf("waivers %+v, cells %+v", s.Waivers, s.Cells)
	}
	if page, _ := os.ReadFile(n.path("statement.md")); !strings.Contains(string(page), "## Waivers\n\n- waiver known of someone, until ") {
		t.Errorf("the page lacks the waiver:\n%s", page)
	}
}

func TestCertifyRefusesWhatItCannotState(t *testing.T) {
	n := newNights(t)
	first := n.night(exitOK)
	for want, args := range map[string][]string{
		`has no kernel "ab"; did you mean "a"?`:                {"--kernel", "ab", "--against", first.Run},
		"needs --kernel NAME and --against TAG":                {"--kernel", "a"},
		`no run and no tag named "nobody"`:                     {"--kernel", "a", "--against", "nobody"},
		"cannot vouch for itself; name another run":            {"--kernel", "a", "--against", first.Run},
		"-o html=x: write markdown=FILE or json=FILE":          {"--kernel", "a", "--against", first.Run, "-o", "html=x"},
		"-o json=nowhere/x: the directory nowhere does not ex": {"--kernel", "a", "--against", first.Run, "-o", "json=nowhere/x"},
	} {
		n.err = lockedBuffer{}
		code := n.app.main(context.Background(), append([]string{"certify", "--state", n.path("state")}, args...))
		if code != exitUsage || !strings.Contains(n.err.String(), want) {
			t.Errorf("%v: exit %d, %s", args, code, n.err.String())
		}
	}
}
