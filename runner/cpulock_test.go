package runner

import (
	"context"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"time"
)

// testLocks are none of any kqual's.
func testLocks() string { return fmt.Sprintf("kqual-test/%d/", os.Getpid()) }

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

// On a host with more CPUs than one race needs, processes take different ones,
// and each keeps its boots off the other's.
func TestRacesOfOtherProcessesGoElsewhere(t *testing.T) {
	host := []int{4, 5, 6, 7, 8}
	var all []*turns
	for range 3 {
		p := process(1)
		p.host, p.s, p.shared = host, newSchedule(len(host), 9, 0), false
		all = append(all, p)
	}
	first, granted := raceOf(t, all[0], 2)
	mustGoOn(t, "the first race", granted)
	second, granted := raceOf(t, all[1], 2)
	mustGoOn(t, "a second race beside it", granted)
	if one, two := first.cpus(nil), second.cpus(nil); !slices.Equal(one, []int{4, 5}) || !slices.Equal(two, []int{6, 7}) {
		t.Errorf("they race on %v and %v", one, two)
	}
	if got := all[0].quiet(); !slices.Equal(got, []int{8}) {
		t.Errorf("the first process boots on %v", got)
	}
	if got := all[2].quiet(); !slices.Equal(got, []int{8}) {
		t.Errorf("a third process boots on %v", got)
	}

	third, granted := raceOf(t, all[2], 2)
	mustWait(t, "a third race on one free CPU", granted)
	booting, up := newTurnOf(all[0], &machine{vcpus: 1, memory: 1}), make(chan struct{})
	go func() {
		defer close(up)
		if err := booting.boot(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	mustWait(t, "a boot that came behind it", up)
	second.raced()
	mustGoOn(t, "the third race, after the second,", granted)
	if got := third.cpus(nil); !slices.Equal(got, []int{6, 8}) {
		t.Errorf("the third races on %v", got)
	}
	mustGoOn(t, "the boot, on the CPU that is left,", up)
	for _, m := range []*turnOf{first, second, third, booting} {
		m.ended()
	}
	if got := all[0].quiet(); !slices.Equal(got, host) {
		t.Errorf("after all, boots have %v", got)
	}
}

// A race that needs two CPUs comes to its turn although others take one after
// the other all the time.
func TestARaceIsNotStarved(t *testing.T) {
	host := []int{0, 1}
	others := newCPULocks(testLocks())
	stop := make(chan struct{})
	var busy sync.WaitGroup
	for range 3 {
		busy.Go(func() {
			for {
				c := newCPUClaim(others)
				c.take(1, host, func() {})
				select {
				case <-stop:
					c.giveUp()
					return
				case <-time.After(2 * cpuPoll):
					c.giveUp()
				}
			}
		})
	}
	race, got := newCPUClaim(newCPULocks(testLocks())), make(chan struct{})
	go func() {
		defer close(got)
		if cpus, ok := race.take(2, host, func() {}); !ok || !slices.Equal(cpus, host) {
			t.Errorf("it got %v", cpus)
		}
	}()
	mustGoOn(t, "the race", got)
	race.giveUp()
	close(stop)
	busy.Wait()
}

// Who no longer wants to wait leaves the door and what it had.
func TestAClaimThatIsGivenUpIsInNobodysWay(t *testing.T) {
	host := []int{0, 1}
	one, two, three := newCPUClaim(newCPULocks(testLocks())), newCPUClaim(newCPULocks(testLocks())), newCPUClaim(newCPULocks(testLocks()))
	one.take(1, host, func() {})
	left := make(chan struct{})
	go func() {
		defer close(left)
		if _, ok := two.take(2, host, func() {}); ok {
			t.Error("two have the same CPU")
		}
	}()
	mustWait(t, "a race beside another claim", left)
	two.giveUp()
	mustGoOn(t, "who gave up", left)
	if cpus, ok := three.take(1, host, func() {}); !ok || !slices.Equal(cpus, []int{1}) {
		t.Errorf("the next has %v", cpus)
	}
	one.giveUp()
	three.giveUp()
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
