package matrix

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// The cells of the tests below are on tmpfs and one kernel; watches are told
// apart by their names.
var judgeWatches = map[string]Watch{
	"plain":    {Name: "plain", Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_DELETE"}}},
	"control":  {Name: "control", Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_DELETE"}}, Control: true},
	"excl":     {Name: "excl", Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_DELETE", "IN_EXCL_UNLINK"}}},
	"nlink":    {Name: "nlink", Source: "inotify", Check: "nlink", Flags: map[string][]string{"mask": {"IN_DELETE"}}},
	"getdents": {Name: "getdents", Source: "inotify", Check: "getdents", Flags: map[string][]string{"mask": {"IN_DELETE"}}},
	"fan":      {Name: "fan", Source: "fanotify", Check: "open", Flags: map[string][]string{"mask": {"FAN_DELETE"}}},
	"fid": {Name: "fid", Source: "fanotify", Check: "target_fid", Flags: map[string][]string{
		"init": {"FAN_REPORT_DFID_NAME_TARGET"}, "mask": {"FAN_DELETE"},
	}},
}

// spread makes an outcome of c in equal blocks.
func spread(blocks int, c Counts) *Outcome {
	o := &Outcome{Status: Measured, Counts: c, Elapsed: time.Second}
	share := func(n, i int) int { return n*(i+1)/blocks - n*i/blocks }
	for i := range blocks {
		o.Blocks = append(o.Blocks, Block{Groups: 65, Sentinel: 38, Counts: Counts{
			Trials: share(c.Trials, i), Contested: share(c.Contested, i), Decisive: share(c.Decisive, i),
			Stale: share(c.Stale, i), StaleDecisive: share(c.StaleDecisive, i),
			Recognised: share(c.Recognised, i), RecognisedDecisive: share(c.RecognisedDecisive, i),
			Lost: share(c.Lost, i), Duplicates: share(c.Duplicates, i), Overflows: share(c.Overflows, i),
			Foreign: share(c.Foreign, i), FalseAlarms: share(c.FalseAlarms, i),
		}})
	}
	return o
}

func decisive(n int) Counts { return Counts{Trials: n + 100, Contested: n + 50, Decisive: n} }

func staleOf(count, n int) Counts {
	c := decisive(n)
	c.Stale, c.StaleDecisive = count, count
	return c
}

func recognisedOf(count, n int) Counts {
	c := staleOf(count, n)
	c.Recognised, c.RecognisedDecisive = count, count
	return c
}

func with(c Counts, change func(*Counts)) Counts {
	change(&c)
	return c
}

func judged(order Order, cells map[string]*Outcome) (KernelRun, map[string]Verdict) {
	run := KernelRun{Kernel: "k"}
	if order != "" {
		run.Witnesses = []Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: order}}
	}
	for _, name := range []string{"plain", "control", "excl", "nlink", "getdents", "fan", "fid"} {
		if o, ok := cells[name]; ok {
			run.Cells = append(run.Cells, CellRun{Cell: Cell{Kernel: "k", Filesystem: "tmpfs", Scenario: "unlink", Watch: judgeWatches[name]}, Outcome: o})
		}
	}
	verdicts := map[string]Verdict{}
	for i, v := range Judge(run, simulated, testCatalog()) {
		verdicts[run.Cells[i].Cell.Watch.Name] = v
	}
	return run, verdicts
}

// The rows of the table of verdicts, one group of cases per row.
func TestJudgeFollowsTheTableOfVerdicts(t *testing.T) {
	var (
		affected = spread(8, staleOf(128, 128))
		zero     = spread(24, decisive(3280))
		seen     = spread(24, recognisedOf(3280, 3300))

		missedOne = spread(24, recognisedOf(3280, 3300))
	)
	for _, c := range []*Counts{&missedOne.Counts, &missedOne.Blocks[0].Counts} {
		c.Recognised--
		c.RecognisedDecisive--
	}
	for _, c := range []struct {
		name  string
		order Order
		cells map[string]*Outcome
		watch string
		want  VerdictKind
		text  string // part of the verdict as tables show it
		notes string // part of the footnotes
	}{
		// affected: at least one stale open that the check did not recognise, whatever the order witness says
		{"a plain watch with stale opens", Early, map[string]*Outcome{"plain": affected}, "plain", VerdictAffected, "STALE 128/128 [95.8 %, 100 %]", ""},
		{"one stale open is enough", Early, map[string]*Outcome{"plain": spread(24, staleOf(1, 3280))}, "plain", VerdictAffected, "STALE 1/3280", ""},
		{"against a late witness", Late, map[string]*Outcome{"plain": affected}, "plain", VerdictAffected, "STALE", FootnoteLate},
		{"where no trial was decisive", Early, map[string]*Outcome{"plain": spread(8, Counts{Trials: 500, Contested: 10, Stale: 2})}, "plain", VerdictAffected, "STALE 2/500", ""},
		{"the check missed one", Early, map[string]*Outcome{"plain": affected, "nlink": missedOne}, "nlink", VerdictAffected, "STALE 1/3300", ""},
		{"in too few blocks, with a note", Early, map[string]*Outcome{"plain": spread(1, staleOf(30, 128))}, "plain", VerdictAffected, "STALE 30/128 [0 %, 100 %]", "worth 1.0 blocks"},

		// holds: differs from the plain watch, which is affected beside it, and the zero rules out the limit
		{"a barrier holds", Early, map[string]*Outcome{"plain": affected, "getdents": zero}, "getdents", VerdictHolds, "holds 0/3280", ""},
		{"a flag holds", Early, map[string]*Outcome{"plain": affected, "excl": zero}, "excl", VerdictHolds, "holds 0/3280", ""},
		{"a recognising check holds, of the stale opens", Early, map[string]*Outcome{"plain": affected, "nlink": seen}, "nlink", VerdictHolds, "holds 0/3280", ""},
		{"against a control that was added", Early, map[string]*Outcome{"control": affected, "getdents": zero}, "getdents", VerdictHolds, "holds 0/3280", ""},
		{"not by too few decisive trials", Early, map[string]*Outcome{"plain": affected, "getdents": spread(24, decisive(3000))}, "getdents", VerdictInconclusive, "0 stale in 3000 decisive of 3100 trials, 3280 needed to rule out 0.1 %", ""},
		{"not by too few stale opens", Early, map[string]*Outcome{"plain": affected, "nlink": spread(24, recognisedOf(2000, 3300))}, "nlink", VerdictInconclusive, "all of 2000 stale opens recognised, 3280 needed", ""},
		{"not by a plain watch of another source", Early, map[string]*Outcome{"plain": affected, "fan": zero, "fid": zero}, "fid", VerdictClean, "clean", FootnoteEarly},
		{"a second plain watch does not hold", Late, map[string]*Outcome{"plain": affected, "control": zero}, "control", VerdictInconclusive, "a plain watch too, is affected", ""},

		// clean: none stale in enough decisive trials, and the plain watch is not affected
		{"a plain watch is clean", Late, map[string]*Outcome{"plain": zero}, "plain", VerdictClean, "clean <0.1 % (0/3280)", ""},
		{"beside a clean plain watch", Late, map[string]*Outcome{"plain": zero, "nlink": zero}, "nlink", VerdictClean, "clean <0.1 % (0/3280)", ""},
		{"where no witness applies", NotApplicable, map[string]*Outcome{"plain": zero}, "plain", VerdictClean, "clean", ""},
		{"in four blocks with more trials", Late, map[string]*Outcome{"plain": spread(4, decisive(4500))}, "plain", VerdictClean, "clean <0.1 % (0/4500)", ""},
		{"not in three blocks", Late, map[string]*Outcome{"plain": spread(3, decisive(1_000_000))}, "plain", VerdictInconclusive, "worth 3.0 blocks", ""},
		{"not in four blocks with as many trials", Late, map[string]*Outcome{"plain": spread(4, decisive(3280))}, "plain", VerdictInconclusive, "worth 4.0 blocks", ""},

		// the order witness
		{"early and nothing stale", Early, map[string]*Outcome{"plain": zero}, "plain", VerdictInconclusive, "the order witness says early", ""},
		{"no witness at all", "", map[string]*Outcome{"plain": zero}, "plain", VerdictInconclusive, "no order witness", ""},
		{"a witness that saw nothing", NoOrder, map[string]*Outcome{"plain": zero}, "plain", VerdictInconclusive, "no order witness", ""},

		// unsupported, inconclusive, error
		{"a refusal", Late, map[string]*Outcome{"plain": {Status: Unsupported, Refusal: &Refusal{"fanotify_mark", "FAN_DELETE", "ENODEV"}}}, "plain", VerdictUnsupported, "n/a ENODEV", ""},
		{"nothing decisive", Late, map[string]*Outcome{"plain": spread(8, Counts{Trials: 5000})}, "plain", VerdictInconclusive, "the reader never got in", ""},
		{"no trial", Late, map[string]*Outcome{"plain": {Status: Measured}}, "plain", VerdictInconclusive, "no trial ran", ""},
		{"lost events", Late, map[string]*Outcome{"plain": spread(24, with(decisive(3280), func(c *Counts) { c.Lost = 40 }))}, "plain", VerdictInconclusive, "40 lost their event", ""},
		{"overflows", Late, map[string]*Outcome{"plain": spread(24, with(decisive(3280), func(c *Counts) { c.Overflows = 40 }))}, "plain", VerdictInconclusive, "40 overflowed", ""},
		{"recognised, but the plain watch is clean", Late, map[string]*Outcome{"plain": zero, "nlink": seen}, "nlink", VerdictInconclusive, "the plain watch plain is clean", ""},
		{"a guest that failed", Late, map[string]*Outcome{"plain": {Status: Failed, Failure: "create v1: ENOSPC"}}, "plain", VerdictError, "ENOSPC", ""},
		{"no answer", Late, map[string]*Outcome{"plain": nil}, "plain", VerdictError, "no answer", ""},
		{"counts that contradict", Late, map[string]*Outcome{"plain": spread(8, Counts{Trials: 5, Decisive: 6})}, "plain", VerdictError, "contradict", ""},
		{"blocks that do not add up", Late, map[string]*Outcome{"plain": {Status: Measured, Counts: decisive(3280), Blocks: zero.Blocks[1:]}}, "plain", VerdictError, "the blocks have", ""},
		{"no blocks at all", Late, map[string]*Outcome{"plain": {Status: Measured, Counts: decisive(3280)}}, "plain", VerdictError, "the blocks have", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, verdicts := judged(c.order, c.cells)
			v := verdicts[c.watch]
			text := VerdictText(v)
			if v.Kind != c.want || !strings.Contains(text, c.text) || !strings.Contains(strings.Join(v.Footnotes, "; "), c.notes) {
				t.Errorf("%s %q %q, want %s with %q and %q", v.Kind, text, v.Footnotes, c.want, c.text, c.notes)
			}
			if (v.Kind == VerdictInconclusive || v.Kind == VerdictError || v.Kind == VerdictUnsupported) == (v.Reason == "") && v.Count == v.Of {
				t.Errorf("%s with the reason %q", v.Kind, v.Reason)
			}
		})
	}
}

// Early order without a stale open is clean, with a footnote, only where a
// plain watch of the same boot is affected on some filesystem: so end a patched
// flag and overlayfs.
func TestJudgeForgivesAnEarlyOrderOnlyWithProof(t *testing.T) {
	cell := func(fs string, o *Outcome) CellRun {
		return CellRun{Cell: Cell{Filesystem: fs, Scenario: "unlink", Watch: judgeWatches["plain"]}, Outcome: o}
	}
	zero, affected := spread(24, decisive(3280)), spread(8, staleOf(128, 128))
	early := []Witness{{Filesystem: "tmpfs", Kind: "unlink", Order: Early}, {Filesystem: "overlay", Kind: "unlink", Order: Early}}
	for _, c := range []struct {
		name  string
		tmpfs *Outcome
		want  VerdictKind
	}{
		{"an affected tmpfs", affected, VerdictClean},
		{"a tmpfs without stale opens", zero, VerdictInconclusive},
	} {
		got := Judge(KernelRun{Cells: []CellRun{cell("overlay", zero), cell("tmpfs", c.tmpfs)}, Witnesses: early}, simulated, testCatalog())[0]
		if got.Kind != c.want || (c.want == VerdictClean) != (len(got.Footnotes) > 0 && got.Footnotes[0] == FootnoteEarly) {
			t.Errorf("%s: %+v, want %s", c.name, got, c.want)
		}
	}
}

// Every filesystem and kind of removal has a witness of its own; one is never
// outvoted by another.
func TestJudgeDoesNotAverageWitnesses(t *testing.T) {
	run := KernelRun{Witnesses: []Witness{
		{Filesystem: "tmpfs", Kind: "unlink", Order: Late}, {Filesystem: "tmpfs", Kind: "rmdir", Order: Early}, {Filesystem: "ext4", Kind: "unlink", Order: Late},
	}}
	for _, at := range []place{{"tmpfs", "unlink"}, {"tmpfs", "rmdir"}, {"ext4", "unlink"}, {"ext4", "rmdir"}, {"tmpfs", "rename"}} {
		run.Cells = append(run.Cells, CellRun{
			Cell: Cell{Filesystem: at.filesystem, Scenario: at.scenario, Watch: judgeWatches["plain"]}, Outcome: spread(24, decisive(3280)),
		})
	}
	want := []VerdictKind{VerdictClean, VerdictInconclusive, VerdictClean, VerdictInconclusive, VerdictClean}
	for i, v := range Judge(run, simulated, testCatalog()) {
		if v.Kind != want[i] {
			t.Errorf("%s: %s (%s), want %s", run.Cells[i].Cell.ID(), v.Kind, v.Reason, want[i])
		}
	}
}

func TestNaturalScenariosShowARateAndNeverGate(t *testing.T) {
	cat := testCatalog()
	cat.Scenarios["churn"] = Scenario{Name: "churn", Natural: true, Events: map[string][]string{"inotify": {"IN_DELETE"}}}
	cell := Cell{Kernel: "k", Filesystem: "tmpfs", Scenario: "churn", Watch: judgeWatches["plain"]}
	for _, c := range []struct {
		name   string
		counts Counts
		want   VerdictKind
		text   string
		expect VerdictKind
		exit   int
	}{
		{"nothing stale, clean expected", Counts{Trials: 20000}, VerdictNatural, "natural 0/20000", VerdictClean, ExitMet},
		{"nothing stale, affected expected", Counts{Trials: 20000}, VerdictNatural, "natural 0/20000", VerdictAffected, ExitMet},
		{"a queue that overflows", Counts{Trials: 15000, Overflows: 5000}, VerdictNatural, "natural 0/15000", VerdictClean, ExitMet},
		{"stale opens, affected expected", Counts{Trials: 20000, Stale: 5}, VerdictAffected, "STALE 5/20000", VerdictAffected, ExitMet},
		{"stale opens, clean expected", Counts{Trials: 20000, Stale: 5}, VerdictAffected, "STALE 5/20000", VerdictClean, ExitUnmet},
		{"no trial", Counts{}, VerdictInconclusive, "no trial ran", VerdictClean, ExitNoAnswer},
	} {
		run := KernelRun{Kernel: "k", Cells: []CellRun{{Cell: cell, Outcome: spread(16, c.counts)}}}
		v := Judge(run, simulated, cat)
		g := Gate([]Rule{{Verdict: []VerdictKind{c.expect}, Why: "x"}}, []KernelRun{run}, [][]Verdict{v})
		if v[0].Kind != c.want || !strings.Contains(VerdictText(v[0]), c.text) || g.Exit != c.exit {
			t.Errorf("%s: %+v, exit %d (%s)", c.name, v[0], g.Exit, g.Why)
		}
		if v[0].Kind == VerdictNatural && !(v[0].Hi > 0.0001 && v[0].Hi < 0.001) {
			t.Errorf("%s: upper bound %g", c.name, v[0].Hi)
		}
	}
}

// Whatever a guest reports, Judge answers every cell, shows bounds in order and
// no zero without its denominator, and calls nothing clean or holding that does
// not rule the limit out.
func FuzzJudge(f *testing.F) {
	f.Add(uint64(1), 8, 3280, 3300, 0, 0, true)
	f.Add(uint64(2), 8, 128, 128, 128, 0, false)
	f.Add(uint64(3), 1, 5, 5, 5, 5, true)
	f.Add(uint64(4), 24, 3280, 3280, 3280, 3280, false)
	orders := []Order{Late, Early, NotApplicable, NoOrder}
	f.Fuzz(func(t *testing.T, seed uint64, blocks, n, trials, stale, recognised int, late bool) {
		rng := rand.New(rand.NewPCG(seed, 1))
		blocks = 1 + int(uint(blocks)%64)
		cells := map[string]*Outcome{}
		for name := range judgeWatches {
			c := Counts{Trials: trials, Contested: n, Decisive: n, Stale: stale, StaleDecisive: stale, Recognised: recognised, RecognisedDecisive: recognised}
			if rng.IntN(3) == 0 {
				c = decisive(rng.IntN(5000))
			}
			cells[name] = spread(blocks, c)
		}
		order := Late
		if !late {
			order = orders[rng.IntN(len(orders))]
		}
		run, _ := judged(order, cells)
		for i, v := range Judge(run, simulated, testCatalog()) {
			if v.Kind == "" || !(0 <= v.Lo && v.Lo <= v.Hi && v.Hi <= 1) || v.Count < 0 || v.Count > v.Of {
				t.Errorf("%s: %+v", run.Cells[i].Cell.ID(), v)
			}
			if (v.Kind == VerdictClean || v.Kind == VerdictHolds) && (v.Count != 0 || v.Of < MinBlocks || v.Hi > simulated.DetectionLimit) {
				t.Errorf("%s: %+v", run.Cells[i].Cell.ID(), v)
			}
			if VerdictText(v) == "" {
				t.Errorf("%+v has no text", v)
			}
		}
	})
}

// After a boot that ended early, the rest is compared with the plain watch of
// its own boot: what an earlier boot saw proves nothing about this one.
func TestJudgeComparesWithinOneBoot(t *testing.T) {
	run, _ := judged(Early, map[string]*Outcome{"plain": spread(8, staleOf(128, 128)), "getdents": spread(24, decisive(3280))})
	run.Cells[1].Boot = 1
	if v := Judge(run, simulated, testCatalog())[1]; v.Kind == VerdictHolds {
		t.Errorf("holds against a plain watch of another boot: %s", VerdictText(v))
	}
	run.Repeats = []CellRun{{Cell: run.Cells[0].Cell, Outcome: spread(8, staleOf(127, 128)), Boot: 1}}
	got := Judge(run, simulated, testCatalog())
	if len(got) != 2 || got[0].Kind != VerdictAffected || got[1].Kind != VerdictHolds {
		t.Errorf("with the plain watch repeated: %+v", got)
	}
}

func TestTroubleInTheKernelStandsOnItsCell(t *testing.T) {
	run, _ := judged(Late, map[string]*Outcome{"plain": spread(24, decisive(3280)), "nlink": spread(24, decisive(3280))})
	warning := Splat{Kind: "WARNING", Line: "WARNING: CPU: 0 PID: 1 at fs/inode.c:1"}
	run.Cells[1].Splats = []Splat{warning, warning, {Kind: "BUG", Line: "BUG: x"}}
	run.Cells[1].Ended = []Failure{{Reason: "panic: y\nsecond line"}}
	got := Judge(run, simulated, testCatalog())
	want := []string{
		"2 × WARNING in the kernel's log: WARNING: CPU: 0 PID: 1 at fs/inode.c:1", "1 × BUG in the kernel's log: BUG: x",
		"a boot ended in this cell before: panic: y",
	}
	if got[1].Kind != VerdictClean || !slices.Equal(got[1].Footnotes, want) || len(got[0].Footnotes) != 0 {
		t.Errorf("%s with %q, beside %q", VerdictText(got[1]), got[1].Footnotes, got[0].Footnotes)
	}
}
