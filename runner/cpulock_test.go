package runner

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"
)

// testLocks are none of any kqual's.
func testLocks() cpuLocks { return cpuLocks{fmt.Sprintf("kqual-test/%d/", os.Getpid())} }

// process is one kqual among others, with a budget of so many CPUs.
func process(cpus int) *turns { return newTurns(Budget{CPUs: cpus, Memory: 9}, testLocks()) }

// raceOf has a machine of so many virtual CPUs, which has booted, wait for its
// race.
func raceOf(t *testing.T, turns *turns, vcpus int) (*turnOf, <-chan struct{}) {
	t.Helper()
	m := newTurnOf(turns, &machine{vcpus: vcpus, memory: 1})
	if err := turns.boot(context.Background(), m.m); err != nil {
		t.Fatal(err)
	}
	return m, m.booted()
}

func mustGoOn(t *testing.T, what string, granted <-chan struct{}) {
	t.Helper()
	select {
	case <-granted:
	case <-time.After(10 * time.Second):
		t.Fatalf("%s does not go on", what)
	}
}

func mustWait(t *testing.T, what string, granted <-chan struct{}) {
	t.Helper()
	select {
	case <-granted:
		t.Fatalf("%s goes on", what)
	case <-time.After(10 * cpuPoll):
	}
}

// Processes that know nothing of each other race one after the other.
func TestRacesOfOtherProcessesAreWaitedFor(t *testing.T) {
	all := len(hostCPUs())
	one, two := process(all), process(all)
	first, granted := raceOf(t, one, all)
	mustGoOn(t, "the first race", granted)
	second, next := raceOf(t, two, all)
	mustWait(t, "a second race on the same CPUs", next)
	first.raced()
	mustGoOn(t, "the second race, after the first,", next)

	third, never := raceOf(t, one, all)
	mustWait(t, "a third race", never)
	first.ended()
	third.ended() // as a guest that dies while it waits
	second.ended()
	if last, again := raceOf(t, two, all); true {
		mustGoOn(t, "a race on CPUs that were given back", again)
		last.ended()
	}
	select {
	case <-never:
		t.Error("a machine that ended was told to race")
	default:
	}
}

// A boot needs a CPU that no other process has, and keeps it from their races
// until it is up: each would starve the other.
func TestBootsOfOtherProcessesAreWaitedFor(t *testing.T) {
	all := len(hostCPUs())
	one, two := process(all), process(all)
	race, granted := raceOf(t, one, all)
	mustGoOn(t, "the race", granted)
	booting, told, up := newTurnOf(two, &machine{vcpus: all, memory: 1}), make(chan struct{}), make(chan struct{})
	booting.waits = func() { close(told) }
	go func() {
		defer close(up)
		if err := booting.boot(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	mustWait(t, "a boot beside the race", up)
	mustGoOn(t, "whoever is told of the wait", told)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := newTurnOf(process(all), &machine{vcpus: 1, memory: 1}).boot(ctx); err == nil {
		t.Error("a boot that nobody wants any more went on beside the race")
	}

	race.ended()
	mustGoOn(t, "the boot, after the race,", up)
	if all > 1 {
		race, granted = raceOf(t, one, all)
		mustWait(t, "a race beside the boot", granted)
		race.ended()
	}
	mustGoOn(t, "the race of what has booted", booting.booted())
	booting.ended()
}

// Who asks for more CPUs than there are shares them.
func TestRacesThatMayShareCPUsDoNotWait(t *testing.T) {
	all := len(hostCPUs())
	turns := process(2 * all)
	first, granted := raceOf(t, turns, all)
	mustGoOn(t, "the first race", granted)
	second, next := raceOf(t, turns, all)
	mustGoOn(t, "a second race beside it", next)
	first.ended()
	second.ended()
}
