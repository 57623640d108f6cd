package runner

import (
	"slices"
	"testing"
)

// A machine that boots keeps out of the CPUs of a race that begins meanwhile.
func TestBootsKeepOutOfRaces(t *testing.T) {
	turns := newTurns(Budget{CPUs: 4, Memory: 9}, "")
	turns.host, turns.shared = []int{4, 5, 6, 7}, false
	a, b := newTurnOf(turns, &machine{order: 0, vcpus: 2, memory: 1}), newTurnOf(turns, &machine{order: 1, vcpus: 2, memory: 1})
	for _, m := range []*turnOf{a, b} {
		if err := m.boot(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := a.quiet(nil); !slices.Equal(got, []int{4, 5, 6, 7}) {
		t.Errorf("without a race boots have %v", got)
	}
	var confined []int
	a.onRace(func([]int) { t.Error("the race itself was confined") })
	b.onRace(func(cpus []int) { confined = cpus })
	<-a.booted()
	if got := a.cpus(nil); !slices.Equal(got, []int{4, 6}) {
		t.Errorf("the race has %v, the boot CPU 5", got)
	}
	if !slices.Equal(confined, []int{5, 7}) || !slices.Equal(b.quiet(nil), confined) {
		t.Errorf("beside the race the boot has %v and %v", confined, b.quiet(nil))
	}
	late := []int{}
	b.onRace(func(cpus []int) { late = cpus })
	if !slices.Equal(late, confined) {
		t.Errorf("a boot that was started just before the race keeps to %v", late)
	}
	a.ended()
	if got := b.quiet(nil); len(got) != 4 {
		t.Errorf("after the race boots have %v", got)
	}
}
