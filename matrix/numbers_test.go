package matrix

import (
	"testing"
	"time"
)

func TestCellNumbersTakeSensitivityFromTheKnownBadKernel(t *testing.T) {
	cat := testCatalog()
	cat.Scenarios["churn"] = Scenario{Name: "churn", Natural: true}
	cell := func(kernel, fs, scenario, watch string, o *Outcome) CellRun {
		return CellRun{Cell: Cell{Kernel: kernel, Filesystem: fs, Scenario: scenario, Watch: judgeWatches[watch]}, Outcome: o}
	}
	affected := spread(8, staleOf(112, 128))
	affected.FirstStale, affected.Setup = 3*time.Millisecond, 20*time.Millisecond
	runs := []KernelRun{
		{Kernel: "bad", Cells: []CellRun{
			cell("bad", "tmpfs", "unlink", "plain", affected),
			cell("bad", "ext4", "unlink", "fan", spread(8, staleOf(120, 128))),            // no control itself
			cell("bad", "tmpfs", "unlink", "nlink", spread(24, recognisedOf(3280, 3300))), // no measure of the race
		}},
		{Kernel: "worse", Cells: []CellRun{cell("worse", "tmpfs", "unlink", "plain", spread(8, staleOf(128, 128)))}}, // no control
		{Kernel: "new", Cells: []CellRun{
			cell("new", "tmpfs", "unlink", "plain", spread(24, decisive(3280))),
			cell("new", "tmpfs", "churn", "plain", spread(16, Counts{Trials: 20000})),
			cell("new", "tmpfs", "unlink", "fan", spread(24, decisive(3280))),
			cell("new", "ext4", "unlink", "plain", spread(24, decisive(3280))),
			cell("new", "ext4", "unlink", "fan", spread(24, decisive(3280))),
			cell("new", "ext4", "unlink", "nlink", nil),
			cell("new", "ext4", "unlink", "getdents", &Outcome{Status: Measured, Counts: Counts{Trials: -1}}),
		}},
	}
	numbers := CellNumbers([]Rule{{Kernel: []string{"bad"}, Watch: []string{"plain"}, Verdict: []VerdictKind{VerdictAffected}, Why: "x"}}, runs, simulated, cat)
	bad, fixed := numbers[0][0], numbers[2]
	if bad.FirstStale != 3*time.Millisecond || bad.Decision != 1020*time.Millisecond || bad.Blocks != 8 || bad.Groups != 65 || bad.Trials != 228 || bad.PerSecond != 228 {
		t.Errorf("the known-bad kernel's own numbers: %+v", bad)
	}
	if s := fixed[0].Sensitivity; s == nil || s.Kernel != "bad" || s.Count != 112 || s.Of != 128 || !(s.Lo < 0.875 && 0.875 < s.Hi) {
		t.Errorf("sensitivity %+v, want 112/128 on bad", s)
	}
	if fixed[2].Sensitivity != nil || fixed[3].Sensitivity != nil {
		t.Errorf("another event source has %+v, another filesystem %+v", fixed[2].Sensitivity, fixed[3].Sensitivity)
	}
	if s := fixed[4].Sensitivity; s == nil || s.Count != 120 || s.Of != 128 {
		t.Errorf("sensitivity of another event source %+v, want 120/128 on bad", s)
	}
	if n := fixed[0].Natural; n == nil || n.Count != 0 || n.Of != 20000 || !(n.Hi > 3.0/20000) {
		t.Errorf("natural rate %+v, want 0/20000", n)
	}
	if fixed[1].Natural != nil || fixed[1].Sensitivity != nil || fixed[3].Natural != nil {
		t.Errorf("natural: %+v and %+v", fixed[1], fixed[3])
	}
	if fixed[5] != nil || fixed[6] != nil {
		t.Errorf("numbers of nothing: %+v, %+v", fixed[5], fixed[6])
	}
}

func TestBoundsAreShownWithFewDigitsAndNeverTooLow(t *testing.T) {
	for _, c := range []struct {
		rate float64
		want string
	}{{0.000999, "0.1 %"}, {0.000973, "0.1 %"}, {0.001, "0.1 %"}, {0.0010001, "0.101 %"}, {0.00094, "0.094 %"}, {0.0123, "1.23 %"}, {1, "100 %"}, {0, "0 %"}} {
		if got := percentBound(c.rate); got != c.want {
			t.Errorf("%g is shown as %s, want %s", c.rate, got, c.want)
		}
	}
}
