package runner

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner/wire"
)

// chatter follows a guest that says first, and then again and again more.
func chatter(t *testing.T, first []wire.Record, more wire.Record) error {
	t.Helper()
	recordSlack = 50 * time.Millisecond
	t.Cleanup(func() { recordSlack = 10 * time.Second })
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	close(ended)
	quit, through := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(through)
		out := wire.NewWriter(w)
		for _, rec := range first {
			_ = out.Write(rec)
		}
		for {
			select {
			case <-quit:
				return
			case <-time.After(5 * time.Millisecond):
				_ = out.Write(more)
			}
		}
	}()
	b := &boot{image: &kernels.Image{}, accel: AccelKVM, plan: wire.Plan{
		Sampling: matrix.Sampling{MaxTime: 10 * time.Millisecond}, Cells: make([]matrix.Cell, 1), Filesystems: make([]wire.Filesystem, 1),
	}}
	res := bootResult{}
	err = b.follow(t.Context(), &vm{records: r, name: "none", ended: ended}, &res, time.Now())
	close(quit)
	<-through
	w.Close()
	r.Close()
	return err
}

// A guest that is alive but never comes to an end must be ended.
func TestAGuestThatGoesOnForEverIsEnded(t *testing.T) {
	zero := 0
	hello := wire.Record{Hello: &wire.Hello{Release: "6.1"}}
	for _, tt := range []struct {
		name  string
		first []wire.Record
		more  wire.Record
		want  string
	}{
		{"cell", []wire.Record{hello, {Begin: &zero}}, wire.Record{Beat: &wire.Beat{}}, "the cell was not through within 130ms"},
		{"kernel", []wire.Record{hello}, wire.Record{Note: "x"}, "the kernel's cells were not through within 530ms"},
		{"cell after cell", []wire.Record{hello}, wire.Record{Begin: &zero}, "the kernel's cells were not through within 530ms"},
	} {
		err := chatter(t, tt.first, tt.more)
		var d *deadlineError
		if !errors.As(err, &d) || d.text != tt.want || d.side != matrix.SideGuest {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// A guest that waits for its CPUs may be silent as long as others race.
func TestAGuestMayWaitForItsTurn(t *testing.T) {
	recordSlack = 50 * time.Millisecond
	t.Cleanup(func() { recordSlack = 10 * time.Second })
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	turns := newTurns(Budget{CPUs: 2, Memory: 99}, "")
	racing, waiting := &machine{order: 0, vcpus: 2}, &machine{order: 1, vcpus: 2}
	for _, m := range []*machine{racing, waiting} {
		if err := turns.boot(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	turns.booted(racing)
	ended := make(chan struct{})
	close(ended)
	go func() {
		defer w.Close()
		_ = wire.NewWriter(w).Write(wire.Record{Hello: &wire.Hello{Release: "6.1"}})
		time.Sleep(500 * time.Millisecond) // racing takes its time
		turns.raced(racing)
		turns.ended(racing)
	}()
	b := &boot{image: &kernels.Image{}, accel: AccelKVM, turn: newTurnOf(turns, waiting)}
	res := bootResult{}
	begin := time.Now()
	if err := b.follow(t.Context(), &vm{records: r, name: "none", ended: ended}, &res, begin); !errors.Is(err, wire.ErrIncomplete) {
		t.Errorf("after %s: %v, want the end of the channel", time.Since(begin), err)
	}
}

func TestTheRunDeadlineIsNoInterruption(t *testing.T) {
	r := &run{cfg: Config{MaxTime: time.Millisecond}}
	ctx, cancel := withRunDeadline(t.Context(), r.cfg.MaxTime)
	defer cancel()
	<-ctx.Done()
	if f := r.stopped(ctx); !strings.HasPrefix(f.Reason, "run deadline: not measured within 1ms") {
		t.Errorf("it says %q", f.Reason)
	}
	ctx, cancel = withRunDeadline(t.Context(), time.Hour)
	cancel()
	if f := r.stopped(ctx); !strings.HasPrefix(f.Reason, "interrupted") {
		t.Errorf("it says %q", f.Reason)
	}
}
