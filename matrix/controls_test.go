package matrix

import (
	"strings"
	"testing"
)

func controlRuns(kinds map[string]map[string]VerdictKind) ([]KernelRun, [][]Verdict) {
	var runs []KernelRun
	var verdicts [][]Verdict
	for _, kernel := range []string{"bad", "good", "new"} {
		run, list := KernelRun{Kernel: kernel}, []Verdict{}
		for _, at := range []string{"tmpfs/plain", "tmpfs/nlink", "ext4/plain"} {
			if kind, ok := kinds[kernel][at]; ok {
				fs, watch, _ := strings.Cut(at, "/")
				run.Cells = append(run.Cells, CellRun{Cell: Cell{Kernel: kernel, Filesystem: fs, Scenario: "unlink", Watch: judgeWatches[watch]}})
				list = append(list, Verdict{Kind: kind, Of: 3280, Hi: 0.001})
			}
		}
		runs, verdicts = append(runs, run), append(verdicts, list)
	}
	return runs, verdicts
}

var testControls = []Rule{
	{Kernel: []string{"bad"}, Watch: []string{"plain"}, Verdict: []VerdictKind{VerdictAffected}, Why: "built so"},
	{Kernel: []string{"good"}, Watch: []string{"plain"}, Verdict: []VerdictKind{VerdictClean}, Why: "has the fix"},
}

func TestControlsThatPassChangeNothing(t *testing.T) {
	runs, verdicts := controlRuns(map[string]map[string]VerdictKind{
		"bad":  {"tmpfs/plain": VerdictAffected, "tmpfs/nlink": VerdictHolds},
		"good": {"tmpfs/plain": VerdictClean}, "new": {"tmpfs/plain": VerdictClean, "ext4/plain": VerdictInconclusive},
	})
	check, got := CheckControls(testControls, runs, verdicts)
	if check.Blind || check.Noisy || check.Cells != 2 || check.Passed != 2 || check.Overruled != 0 || len(check.Missing)+len(check.Failed) != 0 {
		t.Errorf("%+v", check)
	}
	for i := range got {
		for k := range got[i] {
			if got[i][k].Kind != verdicts[i][k].Kind {
				t.Errorf("%+v became %+v", verdicts[i][k], got[i][k])
			}
		}
	}
}

func TestABlindHostHasNoCleanCell(t *testing.T) {
	for _, instead := range []VerdictKind{VerdictClean, VerdictHolds, VerdictInconclusive} {
		runs, verdicts := controlRuns(map[string]map[string]VerdictKind{
			"bad": {"tmpfs/plain": instead, "ext4/plain": VerdictAffected},
			"new": {"tmpfs/plain": VerdictClean, "tmpfs/nlink": VerdictHolds, "ext4/plain": VerdictClean},
		})
		check, got := CheckControls(testControls[:1], runs, verdicts)
		new := got[2]
		if !check.Blind || check.Noisy || len(check.Failed) != 1 || !strings.HasPrefix(check.Failed[0], "bad/tmpfs/unlink/plain must be affected (built so) and is ") {
			t.Fatalf("%s: %+v", instead, check)
		}
		if new[0].Kind != VerdictInconclusive || !strings.HasPrefix(new[0].Reason, "the host is blind: bad/tmpfs") {
			t.Errorf("%s: the zero beside it is %+v", instead, new[0])
		}
		if new[1].Kind != VerdictHolds {
			t.Errorf("%s: what holds beside an affected plain watch became %+v", instead, new[1])
		}
		if new[2].Kind != VerdictClean {
			t.Errorf("%s: ext4 has a control of its own that passes, yet %+v", instead, new[2])
		}
		if instead == VerdictClean && got[0][0].Kind != VerdictInconclusive {
			t.Errorf("the known-bad kernel is %+v", got[0][0])
		}
		if verdicts[2][0].Kind != VerdictClean {
			t.Error("the verdicts that came in were changed")
		}
	}
}

func TestAPlaceWithoutAControlRestsOnAll(t *testing.T) {
	runs, verdicts := controlRuns(map[string]map[string]VerdictKind{
		"bad": {"tmpfs/plain": VerdictClean}, "new": {"ext4/plain": VerdictClean},
	})
	if _, got := CheckControls(testControls[:1], runs, verdicts); got[2][0].Kind != VerdictInconclusive {
		t.Errorf("%+v", got[2][0])
	}
}

func TestANoisyHostHasNoAffectedCell(t *testing.T) {
	runs, verdicts := controlRuns(map[string]map[string]VerdictKind{
		"bad":  {"tmpfs/plain": VerdictAffected, "tmpfs/nlink": VerdictHolds},
		"good": {"tmpfs/plain": VerdictAffected}, "new": {"tmpfs/plain": VerdictClean},
	})
	check, got := CheckControls(testControls, runs, verdicts)
	if !check.Noisy || check.Blind || check.Overruled != 3 {
		t.Errorf("%+v", check)
	}
	for i, want := range [][]VerdictKind{{VerdictInconclusive, VerdictInconclusive}, {VerdictInconclusive}, {VerdictClean}} {
		for k, kind := range want {
			if got[i][k].Kind != kind {
				t.Errorf("%s: %+v, want %s", runs[i].Cells[k].Cell.ID(), got[i][k], kind)
			}
		}
	}
	if g := Gate(nil, runs, got); g.Exit != ExitNoAnswer {
		t.Errorf("exit %d, want %d", g.Exit, ExitNoAnswer)
	}
}

func TestAControlWithoutAnAnswerIsMissing(t *testing.T) {
	for _, kind := range []VerdictKind{VerdictError, VerdictUnsupported, VerdictNatural, ""} {
		kinds := map[string]map[string]VerdictKind{"new": {"tmpfs/plain": VerdictClean}}
		if kind != "" {
			kinds["bad"] = map[string]VerdictKind{"tmpfs/plain": kind}
		}
		runs, verdicts := controlRuns(kinds)
		check, got := CheckControls(testControls[:1], runs, verdicts)
		if check.Blind || check.Cells != 0 || len(check.Missing) != 1 || check.Missing[0] != "bad/*/*/plain must be affected" {
			t.Errorf("%q: %+v", kind, check)
		}
		if got[2][0].Kind != VerdictClean {
			t.Errorf("%q: %+v", kind, got[2][0])
		}
	}
}

func TestPlanSaysWhichControlsItLacks(t *testing.T) {
	s := designSpec(t)
	s.Controls = []Rule{
		{Kernel: []string{"v5.10-*"}, Watch: []string{"IN_DELETE"}, Verdict: []VerdictKind{VerdictAffected}, Why: "x"},
		{Kernel: []string{"debian-11"}, Watch: []string{"IN_DELETE"}, Verdict: []VerdictKind{VerdictClean}, Why: "x"},
	}
	if p := planOf(t, s, nil, nil); len(p.NoControl) != 0 {
		t.Errorf("the whole matrix lacks %q", p.NoControl)
	}
	p := planOf(t, s, []string{"kernel=debian-11,watch=*nlink"}, nil)
	if len(p.NoControl) != 1 || p.NoControl[0] != "v5.10-*/*/*/IN_DELETE must be affected" {
		t.Errorf("lacks %q; the added plain watch of debian-11 is a control", p.NoControl)
	}
}
