package matrix

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func findingsCatalog() Catalog {
	return Catalog{
		EventSources: map[string]EventSource{"inotify": {Name: "inotify", IsPlain: func(w Watch) bool { return w.Name == "IN_DELETE" }}},
		Checks:       map[string]Check{"open": {Name: "open"}, "nlink": {Name: "nlink", Recognises: true, Doc: "st_nlink of 0"}},
	}
}

// seen is a kernel with one verdict per watch: IN_DELETE, IN_DELETE+nlink.
type seen struct {
	name, version string
	plain, nlink  VerdictKind
}

func findingsOf(kernels ...seen) ([]KernelRun, [][]Verdict) {
	var runs []KernelRun
	var verdicts [][]Verdict
	for i, k := range kernels {
		run := KernelRun{Kernel: k.name, Index: i, Provenance: Provenance{Version: k.version}, Boots: []Boot{{Accel: "tcg"}}}
		var vs []Verdict
		for n, kind := range []VerdictKind{k.plain, k.nlink} {
			if kind == "" {
				continue
			}
			w := Watch{Name: []string{"IN_DELETE", "IN_DELETE+nlink"}[n], Source: "inotify", Check: []string{"open", "nlink"}[n]}
			run.Cells = append(run.Cells, CellRun{
				Cell:    Cell{Kernel: k.name, Filesystem: "tmpfs", Scenario: "unlink", Watch: w},
				Outcome: &Outcome{Status: Measured},
			})
			vs = append(vs, Verdict{Kind: kind, Of: 2995, Hi: 0.001})
		}
		runs = append(runs, run)
		verdicts = append(verdicts, vs)
	}
	return runs, verdicts
}

func textsOf(fs []Finding, kind FindingKind) []string {
	var out []string
	for _, f := range fs {
		if f.Kind == kind {
			out = append(out, f.Text)
		}
	}
	return out
}

func find(kernels ...seen) []Finding {
	runs, verdicts := findingsOf(kernels...)
	return Find(runs, verdicts, Sampling{DetectionLimit: 0.001, Confidence: 0.95}, findingsCatalog())
}

func TestBoundariesFollowSeriesAndMainline(t *testing.T) {
	// The releases of the thread, as they were measured.
	fs := find(
		seen{"a", "5.2.1", VerdictClean, ""}, seen{"b", "5.4.59", VerdictAffected, ""}, seen{"c", "5.10.89", VerdictAffected, ""},
		seen{"d", "5.10.223-1", VerdictClean, ""}, seen{"e", "5.15.16", VerdictAffected, ""}, seen{"f", "6.1.176-1", VerdictClean, ""},
	)
	want := []string{
		"IN_DELETE on tmpfs/unlink: appears between a (5.2.1) and b (5.4.59) (5.3 untested between); known: 49246466a989 in 5.3-rc1",
		"IN_DELETE on tmpfs/unlink: gone within 5.10 between c (5.10.89) and d (5.10.223); known: a37d9a17f099 in 5.10.96",
		"IN_DELETE on tmpfs/unlink: gone between e (5.15.16) and f (6.1.176) (5.16 … 6.0 untested between, 5 releases); known: a37d9a17f099 in 5.17-rc2",
	}
	if got := textsOf(fs, FindingBoundary); !slices.Equal(got, want) {
		t.Errorf("got %s\nwant %s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := textsOf(fs, FindingContradiction); len(got) > 0 {
		t.Errorf("contradictions %q, want none", got)
	}
}

func TestContradictionsAreSaid(t *testing.T) {
	for name, c := range map[string]struct {
		kernels []seen
		want    string
	}{
		"fixed release is affected":     {[]seen{{"k", "6.1.176-1", VerdictAffected, ""}}, "its version promises clean (a37d9a17f099 since 5.17-rc2)"},
		"same version":                  {[]seen{{"k", "5.10.89", VerdictAffected, ""}, {"l", "5.10.89", VerdictClean, ""}}, "kernels of the same version disagree: affected on k (5.10.89), clean on l (5.10.89)"},
		"comes back within a series":    {[]seen{{"k", "5.15.20", VerdictClean, ""}, {"l", "5.15.30", VerdictAffected, ""}}, "affected on the later l (5.15.30) of the same series"},
		"clean before any known change": {[]seen{{"k", "5.2.1", VerdictAffected, ""}}, "before 49246466a989 (5.3-rc1)"},
	} {
		t.Run(name, func(t *testing.T) {
			got := strings.Join(textsOf(find(c.kernels...), FindingContradiction), "\n")
			if !strings.Contains(got, c.want) {
				t.Errorf("got %q, want it to say %q", got, c.want)
			}
		})
	}
}

func TestBackportsArePointedOut(t *testing.T) {
	fs := find(
		seen{"deb", "5.10.223-1", VerdictClean, ""}, seen{"vendor", "5.14.0-70.el9", VerdictClean, ""},
		seen{"early", "5.4.100", VerdictClean, ""}, seen{"new", "6.1.1", VerdictClean, ""},
	)
	got := strings.Join(textsOf(fs, FindingBackport), "\n")
	for _, want := range []string{
		"early (5.4.100) behaves as mainline of its version does not: it has the fix (mainline only from 5.17-rc2; stable only from 5.4.176: a vendor's backport)",
		"deb (5.10.223) behaves as mainline of its version does not: it has the fix (mainline only from 5.17-rc2; stable since 5.10.96)",
		"vendor (5.14.0) behaves as mainline of its version does not: it has the fix (mainline only from 5.17-rc2; in no stable 5.14: a vendor's backport)",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got %s\nwant it to say %s", got, want)
		}
	}
	fs = find(seen{"deb", "5.10.223-1", VerdictClean, ""}, seen{"sec", "5.10.262-1", VerdictClean, ""})
	if want := "deb (5.10.223) and sec (5.10.262) behave as mainline of their versions does not: they have the fix"; !strings.Contains(strings.Join(textsOf(fs, FindingBackport), "\n"), want) {
		t.Errorf("got %q, want it to say %s", textsOf(fs, FindingBackport), want)
	}
	if strings.Contains(got, "new") {
		t.Errorf("6.1.1 has no backport: %s", got)
	}
}

func TestMitigationThatHoldsEverywhereIsAdvised(t *testing.T) {
	fs := find(seen{"k", "5.10.89", VerdictAffected, VerdictHolds}, seen{"l", "6.1.1", VerdictClean, VerdictClean})
	want := "Of 2 kernels, 1 can hand out a deleted file after its event. An application that must run on all of them should use IN_DELETE+nlink (st_nlink of 0): it covers every one"
	if got := textsOf(fs, FindingAdvice); !slices.Equal(got, []string{want}) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

func TestMitigationNeedsNoNaturalRate(t *testing.T) {
	for natural, want := range map[bool]string{true: "it covers every one", false: "finds no tested mitigation"} {
		runs, verdicts := findingsOf(seen{"k", "5.10.89", VerdictAffected, VerdictHolds})
		churn := runs[0].Cells[0]
		churn.Cell.Scenario = "indelchurn"
		runs[0].Cells = append(runs[0].Cells, churn)
		verdicts[0] = append(verdicts[0], verdicts[0][0])
		cat := findingsCatalog()
		cat.Scenarios = map[string]Scenario{"indelchurn": {Name: "indelchurn", Natural: natural}}
		got := textsOf(Find(runs, verdicts, Sampling{DetectionLimit: 0.001, Confidence: 0.95}, cat), FindingAdvice)
		if len(got) == 0 || !strings.Contains(got[0], want) {
			t.Errorf("natural %t: got %q, want it to say %q", natural, got, want)
		}
	}
}

func TestMitigationWithAGapIsNotAdvised(t *testing.T) {
	for kind, want := range map[VerdictKind]string{
		VerdictAffected:     "IN_DELETE+nlink fails on 1 of 1 (k (5.10.89))",
		VerdictUnsupported:  "is missing on 1 of 1",
		VerdictInconclusive: "has no full answer on 1 of 1",
	} {
		got := textsOf(find(seen{"k", "5.10.89", VerdictAffected, kind}), FindingAdvice)
		if len(got) != 2 || !strings.Contains(got[0], "finds no tested mitigation that covers every one") || !strings.Contains(got[1], want) {
			t.Errorf("%s: got %q, want no advice and %q", kind, got, want)
		}
	}
}

func TestNothingSeenIsSaidToBeNoPositiveControl(t *testing.T) {
	got := strings.Join(textsOf(find(seen{"k", "6.1.1", VerdictClean, VerdictClean}), FindingConfidence), "\n")
	if !strings.Contains(got, "No positive control") {
		t.Errorf("got %s", got)
	}
}

func TestVersionsPromiseWhatReleasesCarry(t *testing.T) {
	for v, want := range map[string]VerdictKind{
		"4.19.300": VerdictClean, "5.2.21": VerdictClean, "5.3-rc1": VerdictAffected, "5.3": VerdictAffected,
		"5.4.175": VerdictAffected, "5.4.176": VerdictClean, "5.9.16": VerdictAffected, "5.10.95": VerdictAffected,
		"5.10.96": VerdictClean, "5.14.21": VerdictAffected, "5.15.18": VerdictAffected, "5.15.19": VerdictClean,
		"5.16.4": VerdictAffected, "5.16.5": VerdictClean, "5.17-rc1": VerdictAffected, "5.17~rc2-1~exp1": VerdictClean,
		"5.17": VerdictClean, "7.3.4-1": VerdictClean,
	} {
		if got, why := promise(mustVersion(v)); got != want {
			t.Errorf("%s: %s (%s), want %s", v, got, why, want)
		}
	}
}

func TestReleaseThatHidesItsStableReleasePromisesNothing(t *testing.T) {
	runs, verdicts := findingsOf(seen{"k", "", VerdictClean, ""})
	runs[0].Boots[0].Release = "5.10.0-32-cloud-amd64" // made from 5.10.223
	got := KernelFacts(runs, verdicts, findingsCatalog())[0]
	if got.Expected != "" || got.Contradicts || len(got.Backports) > 0 {
		t.Errorf("got %+v, want no promise", got)
	}
}

func TestPatchedKernelPromisesNothing(t *testing.T) {
	runs, verdicts := findingsOf(seen{"k", "5.10.223-1", VerdictAffected, ""})
	runs[0].Provenance.Details = map[string]string{DetailPatches: "affected"}
	got := KernelFacts(runs, verdicts, findingsCatalog())[0]
	if got.Expected != "" || got.Contradicts || got.Why != "patched: affected" || got.Observed != VerdictAffected {
		t.Errorf("got %+v", got)
	}
}

func TestSeriesBetweenCrossesMajorVersions(t *testing.T) {
	for in, want := range map[[2]string]string{
		{"5.2", "5.4"}: "[5.3]", {"5.18", "6.1"}: "[5.19 6.0]", {"6.18", "7.1"}: "[6.19 7.0]", {"5.4", "5.4"}: "[]", {"x", "5.4"}: "[]",
	} {
		if got := fmt.Sprint(seriesBetween(in[0], in[1])); got != want {
			t.Errorf("%v: got %s, want %s", in, got, want)
		}
	}
}
