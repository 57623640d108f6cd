package runner

import (
	"slices"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
	"kqual/runner/wire"
)

func watchNamed(name string, check string) matrix.Watch {
	return matrix.Watch{Name: name, Source: "inotify", Check: check, Flags: map[string][]string{"mask": {"IN_DELETE"}}}
}

// halfway is a kernel run whose boot ended in the second of four cells.
func halfway() *matrix.KernelRun {
	kr := &matrix.KernelRun{Kernel: "k", Boots: make([]matrix.Boot, 1)}
	for _, w := range []matrix.Watch{
		watchNamed("IN_DELETE", "open"), watchNamed("crash", "nlink"), watchNamed("nlink", "nlink"), watchNamed("getdents", "getdents"),
	} {
		kr.Cells = append(kr.Cells, matrix.CellRun{Cell: matrix.Cell{Kernel: "k", Filesystem: "tmpfs", Scenario: "unlink", Watch: w}})
	}
	kr.Cells[0].Outcome = &matrix.Outcome{Status: matrix.Measured}
	strike(&kr.Cells[1], matrix.Failure{Side: matrix.SideGuest, Reason: "panic", Log: "k.console.log"})
	return kr
}

func names(cells []matrix.Cell) []string {
	var out []string
	for _, c := range cells {
		out = append(out, c.Watch.Name)
	}
	return out
}

func TestAFreshBootBeginsWithThePlainWatchAndEndsWithTheCulprit(t *testing.T) {
	kr := halfway()
	p := planBoot(kr)
	if want := []string{"IN_DELETE", "nlink", "getdents", "crash"}; !slices.Equal(names(p.cells), want) {
		t.Errorf("plans %v, want %v", names(p.cells), want)
	}
	if want := []int{-1, 2, 3, 1}; !slices.Equal(p.slots, want) {
		t.Errorf("answers go to %v, want %v", p.slots, want)
	}
	// Where the plain watch is still to come, there is nothing to repeat.
	kr.Cells[0].Outcome = nil
	if got := planBoot(kr); !slices.Equal(got.slots, []int{0, 2, 3, 1}) {
		t.Errorf("answers go to %v", got.slots)
	}
}

func TestASecondStrikeIsAnErrorThatNamesBothLogs(t *testing.T) {
	kr := halfway()
	c := &kr.Cells[1]
	if c.Error != nil {
		t.Fatalf("the first strike is an error already: %v", c.Error)
	}
	strike(c, matrix.Failure{Side: matrix.SideGuest, Reason: "panic", Log: "k.2.console.log"})
	if c.Error == nil || !strings.Contains(c.Error.Hint, "k.console.log and k.2.console.log") {
		t.Fatalf("%+v", c.Error)
	}
	if p := planBoot(kr); slices.Contains(p.slots, 1) {
		t.Error("it is planned a third time")
	}
}

func TestEveryBootHasALogOfItsOwn(t *testing.T) {
	for _, c := range []struct {
		kernel string
		n      int
		want   string
	}{
		{"debian-12", 0, "debian-12.console.log"},
		{"debian-12", 1, "debian-12.2.console.log"},
		{"../a b\n", 0, "_a_b_.console.log"},
	} {
		if got := logName(c.kernel, c.n); got != c.want {
			t.Errorf("%q, boot %d: %q, want %q", c.kernel, c.n, got, c.want)
		}
	}
}

func TestABeatIsOfTheCellThatRuns(t *testing.T) {
	var got []Beat
	r := &run{cfg: Config{OnEvent: func(ev Event) {
		if ev.Beat != nil {
			got = append(got, *ev.Beat)
		}
	}}}
	kr := halfway()
	p := planBoot(kr)
	beat := wire.Record{Beat: &wire.Beat{Trials: 7, Stale: 2}}
	r.record(kr, p, beat) // nothing runs
	second := 1
	r.record(kr, p, wire.Record{Begin: &second})
	r.record(kr, p, beat)
	if len(got) != 1 || got[0].Cell.Watch.Name != "nlink" || got[0].Trials != 7 || got[0].Stale != 2 {
		t.Errorf("got %+v", got)
	}
}

// A host that boots slowly is waited for longer.
func TestTheDeadlineBetweenRecordsGrowsWithTheBoot(t *testing.T) {
	for _, tt := range []struct {
		accel      string
		took, want time.Duration
	}{
		{AccelKVM, 0, recordSlack},
		{AccelKVM, usualBoot / 2, recordSlack},
		{AccelKVM, 3 * usualBoot, 3 * recordSlack},
		{AccelTCG, usualBoot, tcgFactor * recordSlack},
		{AccelTCG, 10 * usualBoot, 10 * recordSlack},
	} {
		b := &boot{accel: tt.accel, took: tt.took}
		if got := b.between(); got != tt.want {
			t.Errorf("%s, first record after %s: %s, want %s", tt.accel, tt.took, got, tt.want)
		}
	}
}
