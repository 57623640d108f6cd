package runner

import (
	"slices"
	"testing"
)

// A machine that boots keeps out of the CPUs of a race that begins meanwhile.
func TestBootsKeepOutOfRaces(t *testing.T) {
	turns := newTurns(Budget{CPUs: 4, Memory: 9}, cpuLocks{})
	turns.host = []int{4, 5, 6, 7}
	a, b := &machine{order: 0, vcpus: 2, memory: 1}, &machine{order: 1, vcpus: 2, memory: 1}
	for _, m := range []*machine{a, b} {
		if err := turns.boot(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if got := turns.bootCPUs(); !slices.Equal(got, []int{4, 5, 6, 7}) {
		t.Errorf("without a race boots have %v", got)
	}
	var confined []int
	turns.onRace(a, func([]int) { t.Error("the race itself was confined") })
	turns.onRace(b, func(cpus []int) { confined = cpus })
	<-turns.booted(a)
	if got := turns.cpus(a); !slices.Equal(got, []int{4, 6}) {
		t.Errorf("the race has %v", got)
	}
	if !slices.Equal(confined, []int{5, 7}) || !slices.Equal(turns.bootCPUs(), confined) {
		t.Errorf("beside the race the boot has %v and %v", confined, turns.bootCPUs())
	}
	turns.ended(a)
	if got := turns.bootCPUs(); len(got) != 4 {
		t.Errorf("after the race boots have %v", got)
	}
}
