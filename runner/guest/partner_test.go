package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

// partnerOf starts a partner where the scenario asks for one.
func partnerOf(t *testing.T, sc scenario) *partner {
	t.Helper()
	if sc.held == 0 {
		return nil
	}
	p, err := startPartner()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// path is the directory that the victim's names are in.
func (v *victim) path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), v.dirfd) }

// livingVictim makes the n-th victim of a fresh directory, at the path it returns.
func livingVictim(t *testing.T, v *victim, n int) string {
	t.Helper()
	v.set(7, n)
	if errno := createFile(v); errno != 0 {
		t.Fatal(errno)
	}
	dir, err := os.Readlink(v.path())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// openFiles lists what a process has open, as /proc says it.
func openFiles(t *testing.T, pid int) []string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range links {
		if target, err := os.Readlink(l); err == nil {
			out = append(out, target)
		}
	}
	return out
}

func TestAPartnerIsAnotherProcessThatHoldsTheVictim(t *testing.T) {
	p := partnerOf(t, scenarios["open-writer"])
	if p == nil {
		t.Fatal("open-writer asks for no partner")
	}
	if p.process.Pid == os.Getpid() {
		t.Fatal("the partner is this process")
	}
	v, before := dirOf(t), len(openFiles(t, p.process.Pid))
	holds := func(pid int, path string) bool {
		return strings.Contains(strings.Join(openFiles(t, pid), "\n"), path)
	}
	dir := ""
	for n := 1; n <= 6; n++ {
		dir = livingVictim(t, v, n)
	}
	path := func(n int) string { return fmt.Sprintf("%s/v%d", dir, n) }
	for _, first := range []int{1, 4} {
		if err := p.hold(dir, first, 3); err != nil {
			t.Fatal(err)
		}
		for n := first; n < first+3; n++ {
			v.set(7, n)
			if errno := unlinkFile(v); errno != 0 {
				t.Fatal(errno)
			}
			if gone := path(n) + " (deleted)"; !holds(p.process.Pid, gone) {
				t.Errorf("%s is not among the partner's files, %q", gone, openFiles(t, p.process.Pid))
			}
			if holds(os.Getpid(), path(n)) {
				t.Errorf("this process holds %s, too", path(n))
			}
		}
		if err := p.release(); err != nil {
			t.Fatal(err)
		}
		if holds(p.process.Pid, dir) {
			t.Errorf("the partner still has %q", openFiles(t, p.process.Pid))
		}
	}
	if after := openFiles(t, p.process.Pid); len(after) != before {
		t.Errorf("the partner has %d files open, %d at first: %q", len(after), before, after)
	}
}

// Whatever goes wrong with the partner is an error in words, and no trial.
func TestAPartnerThatFailsIsAnError(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		do         func(t *testing.T, p *partner, v *victim, dir string) error
	}{
		{"it ended before the hold", "ended: signal: killed", func(t *testing.T, p *partner, v *victim, dir string) error {
			signal(t, p, unix.SIGKILL)
			return p.hold(dir, v.seq, 1)
		}},
		{"it ended while it held", "release the victims: the partner process, ", func(t *testing.T, p *partner, v *victim, dir string) error {
			if err := p.hold(dir, v.seq, 1); err != nil {
				t.Fatal(err)
			}
			signal(t, p, unix.SIGKILL)
			return p.release()
		}},
		{"one victim too few", "no such file or directory", func(_ *testing.T, p *partner, _ *victim, dir string) error {
			return p.hold(dir, 1, 2)
		}},
		{"nothing is held then", "bad file descriptor", func(t *testing.T, p *partner, _ *victim, dir string) error {
			if err := p.hold(dir, 1, 2); err == nil {
				t.Fatal("held a victim that is not there")
			}
			return p.release()
		}},
		{"a path too long", "file name too long", func(_ *testing.T, p *partner, v *victim, dir string) error {
			return p.hold(strings.Repeat("d", commandSize), v.seq, 1)
		}},
		{"it holds another", "device or resource busy", func(t *testing.T, p *partner, v *victim, dir string) error {
			if err := p.hold(dir, v.seq, 1); err != nil {
				t.Fatal(err)
			}
			return p.hold(dir, v.seq, 1)
		}},
		{"it holds nothing", "bad file descriptor", func(_ *testing.T, p *partner, _ *victim, _ string) error {
			return p.release()
		}},
		{"a command it does not know", "invalid argument", func(_ *testing.T, p *partner, _ *victim, _ string) error {
			return p.ask([]byte{'?'})
		}},
		{"no directory to churn in", "create or delete a name in /nowhere: ", func(_ *testing.T, p *partner, _ *victim, _ string) error {
			return p.churn("/nowhere", &churn{names: 1}, 7, 1)
		}},
		{"a directory that cannot be written to", "the partner process, ", func(_ *testing.T, p *partner, _ *victim, _ string) error {
			return p.churn("/proc/self", &churn{names: 1}, 7, 1)
		}},
		{"an answer to another command", "to command 7", func(_ *testing.T, p *partner, v *victim, dir string) error {
			p.asked = 6
			return p.hold(dir, v.seq, 1)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := partnerOf(t, scenarios["open-writer"])
			v := dirOf(t)
			err := tt.do(t, p, v, livingVictim(t, v, 1))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s…", err, tt.want)
			}
		})
	}
}

// A partner that hangs costs a cell, not the boot.
func TestAPartnerThatHangsIsAnErrorInTime(t *testing.T) {
	p := partnerOf(t, scenarios["open-writer"])
	v := dirOf(t)
	dir := livingVictim(t, v, 1)
	if err := p.process.Signal(unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.patience = 50 * time.Millisecond
	if err := p.hold(dir, v.seq, 1); err == nil || !strings.Contains(err.Error(), "did not answer within 50ms") {
		t.Errorf("got %v", err)
	}
}

// signal ends the partner and waits until it is dead.
func signal(t *testing.T, p *partner, s unix.Signal) {
	t.Helper()
	if err := p.process.Signal(s); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(5 * time.Second)
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.process.Pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("still there: %s", stat)
		}
		time.Sleep(time.Millisecond)
	}
}

// Cells come and go: no process, zombie or descriptor may stay.
func TestPartnersLeaveNothingBehind(t *testing.T) {
	count := func() int { return len(openFiles(t, os.Getpid())) }
	before := 0
	for n := range 20 {
		p, err := startPartner()
		if err != nil {
			t.Fatal(err)
		}
		pid := p.process.Pid
		if n%2 == 1 {
			signal(t, p, unix.SIGKILL)
		}
		p.close()
		if err := unix.Kill(pid, 0); err != unix.ESRCH {
			t.Errorf("process %d is still there: %v", pid, err)
		}
		if n == 0 {
			before = count()
		}
	}
	if after := count(); after != before {
		t.Errorf("%d descriptors open, %d after the first: %q", after, before, openFiles(t, os.Getpid()))
	}
}

func TestHoldingDoesNotAllocate(t *testing.T) {
	p := partnerOf(t, scenarios["open-writer"])
	v := dirOf(t)
	dir, n := livingVictim(t, v, 1), 1
	got := testing.AllocsPerRun(100, func() {
		n++
		v.set(7, n)
		createFile(v)
		if err := p.hold(dir, n, 1); err != nil {
			t.Fatal(err)
		}
		unlinkFile(v)
		if err := p.release(); err != nil {
			t.Fatal(err)
		}
	})
	if got != 0 {
		t.Errorf("%v allocations per trial", got)
	}
}

// The other process makes and removes every name of a round, in the order that
// the scenario wants.
func TestAPartnerChurnsAsOrdered(t *testing.T) {
	p := partnerOf(t, scenarios["open-writer"])
	for _, tt := range []struct {
		name  string
		c     churn
		order string // of the events: C creates, D deletes
	}{
		{"each at once", churn{names: 3, first: 1}, "C1 D1 C2 D2 C3 D3"},
		{"batch", churn{names: 3, batch: true}, "C0 C1 C2 D0 D1 D2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := inotify{}.open(matrix.Watch{})
			if err != nil {
				t.Fatal(err)
			}
			defer g.close()
			dir := t.TempDir()
			if err := g.mark(matrix.Watch{Flags: map[string][]string{"mask": {"IN_CREATE", "IN_DELETE"}}}, dir); err != nil {
				t.Fatal(err)
			}
			if err := p.churn(dir, &tt.c, 7, 1); err != nil {
				t.Fatal(err)
			}
			var told []string
			buf := make([]byte, 4096)
			n, err := unix.Read(g.fd(), buf)
			if err != nil {
				t.Fatal(err)
			}
			var ev event
			for rest := g.next(buf[:n], &ev); rest != nil; rest = g.next(rest, &ev) {
				what := "D"
				if ev.mask&unix.IN_CREATE != 0 {
					what = "C"
				}
				told = append(told, what+string(ev.name))
			}
			if got := strings.Join(told, " "); got != tt.order {
				t.Errorf("got %s, want %s", got, tt.order)
			}
		})
	}
}
