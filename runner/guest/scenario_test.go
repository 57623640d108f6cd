package guest

import (
	"testing"

	"golang.org/x/sys/unix"
)

// dirOf makes a victim for names in a fresh directory, with another beside it.
func dirOf(t *testing.T) *victim {
	t.Helper()
	v := &victim{}
	for _, fd := range []*int{&v.dirfd, &v.asidefd} {
		var err error
		if *fd, err = unix.Open(t.TempDir(), unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { unix.Close(*fd) })
	}
	return v
}

// Every scenario's victim is recognised while it lives, dies of kill, and
// leaves nothing that stops the next trial.
func TestEveryScenarioKnowsItsVictimAndCleansUp(t *testing.T) {
	for name, sc := range scenarios {
		if sc.churn != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := dirOf(t)
			p := partnerOf(t, sc)
			buf := make([]byte, 256)
			for n := 1; n <= 2*batchSize+1; n++ {
				v.set(7, n)
				if errno := sc.create(v); errno != 0 {
					t.Fatalf("create %d: %v", n, errno)
				}
				fd, errno := sc.open(v)
				if errno != 0 {
					t.Fatalf("open %d: %v", n, errno)
				}
				if got := sc.identify(v, fd, buf); got != isVictim {
					t.Fatalf("the living victim %d is identified as %d", n, got)
				}
				unix.Close(fd)
				if p != nil && n%sc.held == 1 {
					if err := p.hold(v.path(), n, sc.held); err != nil {
						t.Fatal(err)
					}
				}
				if errno := sc.kill(v); errno != 0 {
					t.Fatalf("kill %d: %v", n, errno)
				}
				if sc.after != nil {
					if errno := sc.after(v); errno != 0 {
						t.Fatalf("after %d: %v", n, errno)
					}
				}
				if fd, errno = sc.open(v); errno == 0 {
					if got := sc.identify(v, fd, buf); got != isReplacement {
						t.Fatalf("what took the place of victim %d is identified as %d", n, got)
					}
					unix.Close(fd)
				} else if errno != unix.ENOENT {
					t.Fatalf("open %d after its death: %v", n, errno)
				}
				if p != nil && n%sc.held == 0 {
					if err := p.release(); err != nil {
						t.Fatal(err)
					}
				}
				if sc.clean != nil {
					sc.clean(v)
				}
			}
		})
	}
}

// A trial must not allocate: it runs between an event and the end of a trial.
func TestScenariosDoNotAllocate(t *testing.T) {
	for name, sc := range scenarios {
		if sc.churn != nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			v := dirOf(t)
			buf := make([]byte, 256)
			n := 0
			got := testing.AllocsPerRun(100, func() {
				n++
				v.set(7, n)
				sc.create(v)
				sc.kill(v)
				if sc.after != nil {
					sc.after(v)
				}
				if fd, errno := sc.open(v); errno == 0 {
					sc.identify(v, fd, buf)
					unix.Close(fd)
				}
				if sc.clean != nil {
					sc.clean(v)
				}
			})
			if got != 0 {
				t.Errorf("%v allocations per trial", got)
			}
		})
	}
}

// Names repeat from round to round; only a round's own content is its victim.
func TestAnEarlierRoundIsNotTheVictim(t *testing.T) {
	v := &victim{}
	v.setRound(7, 12, 3)
	third := string(v.content[:v.size])
	if v.identify([]byte(third)) != isVictim {
		t.Errorf("%q is not recognised", third)
	}
	for _, round := range []int{2, 4, 30} {
		v.setRound(7, 12, round)
		if v.identify([]byte(third)) == isVictim {
			t.Errorf("%q passes for round %d", third, round)
		}
	}
}
