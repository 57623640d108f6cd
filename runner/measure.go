package runner

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kqual/matrix"
	"kqual/runner/guest"
	"kqual/runner/wire"
)

const (
	// maxStrikes is how many boots may end in one cell until it has no answer.
	maxStrikes = 2
	// maxIdle is how many boots in a row may end outside of any cell, with none
	// finished that was still to do, until the kernel is given up: one for the
	// host's bad luck.
	maxIdle = 2
	// maxEmulator is how many boots in a row may end in a way that is known to be
	// QEMU's, with no cell finished, until that counts as any other end: of four
	// boots of Debian's 7.3 under TCG, all end so once in 80,000 times.
	maxEmulator = 4
)

// measure boots a kernel and has its cells measured. A cell that takes the
// kernel down costs that cell: the others go on in a fresh boot, and the cell
// gets a second chance after them.
func (r *run) measure(ctx context.Context, f fetched, order int, kr *matrix.KernelRun) error {
	if len(planBoot(kr).cells) == 0 { // an earlier run has it all
		return nil
	}
	dir, err := os.MkdirTemp(r.tmp, "kernel-")
	if err != nil {
		return &matrix.Failure{Side: matrix.SideHost, Reason: oneLine(err)}
	}
	defer os.RemoveAll(dir)
	accel, err := r.chooseAccel(ctx, kr.Machine, f.image, dir)
	if err != nil {
		return err
	}
	idle, emulated := 0, 0
	for {
		p := planBoot(kr)
		if len(p.cells) == 0 {
			return nil
		}
		b := &boot{
			image: f.image, guest: r.cfg.Guest, accel: accel, machine: kr.Machine, dir: dir, disks: r.disks,
			turn: r.turnOf(order, kr),
			log:  filepath.Join(r.cfg.LogDir, logName(kr.Kernel, len(kr.Boots))),
			plan: wire.Plan{
				Kernel: kr.Kernel, Sampling: r.cfg.Sampling, Cells: p.cells,
				Filesystems: filesystemsOf(p.cells), Seed: rand.Uint64(),
			},
		}
		if err := b.turn.boot(ctx); err != nil {
			return err
		}
		// A cell that is saved names its boot, whatever becomes of kqual.
		this := len(kr.Boots)
		kr.Boots = append(kr.Boots, matrix.Boot{Accel: accel, ConsoleLog: b.log, End: matrix.BootRuns})
		b.onBoot = func(known matrix.Boot) { kr.Boots[this] = known }
		b.onRecord = func(rec wire.Record) { r.record(kr, p, rec) }
		res := b.run(ctx)
		kr.Boots[this] = res.boot
		if p.finished > 0 {
			idle, emulated = 0, 0
		}
		if res.emulator {
			emulated++
		}
		switch {
		case res.failure == nil:
			unanswered(kr, &matrix.Failure{Side: matrix.SideGuest, Reason: "the guest was done without an answer for this cell", Log: b.log})
			return nil
		case ctx.Err() != nil:
			return res.failure
		case len(planBoot(kr).cells) == 0:
			return nil // it had all answers; its boot says how it ended
		case res.emulator && emulated < maxEmulator:
			r.again(kr, res.failure)
		case p.running >= 0 && p.slots[p.running] >= 0:
			idle, emulated = 0, 0
			r.struck(kr, p.slots[p.running], *res.failure)
		default:
			// What keeps a first boot from its cells, as a panic or the wrong kernel,
			// would only come again.
			hopeless := len(kr.Boots) == 1 && p.finished == 0 && !res.failure.Transient
			if idle++; idle >= maxIdle || hopeless || emulated >= maxEmulator {
				return res.failure
			}
			r.again(kr, res.failure)
		}
	}
}

// again says that a boot costs nothing but itself.
func (r *run) again(kr *matrix.KernelRun, why *matrix.Failure) {
	r.emit(Event{Kernel: kr.Kernel, Text: why.Reason + "; booting again"})
}

// struck files that a boot ended while a cell ran, and says so.
func (r *run) struck(kr *matrix.KernelRun, slot int, why matrix.Failure) {
	c := &kr.Cells[slot]
	strike(c, why)
	r.emit(Event{Kernel: kr.Kernel, Text: fmt.Sprintf("%s ended the boot: %s", c.Cell.ID(), why.Reason)})
	if c.Error != nil {
		done := *c
		r.emit(Event{Kernel: kr.Kernel, Cell: &done, Run: snapshot(kr)})
	}
}

// strike notes that a boot ended while a cell ran.
func strike(c *matrix.CellRun, why matrix.Failure) {
	c.Ended = append(c.Ended, why)
	if len(c.Ended) < maxStrikes {
		return
	}
	logs := make([]string, len(c.Ended))
	for i, e := range c.Ended {
		logs[i] = e.Log
	}
	why.Reason = fmt.Sprintf("%d boots ended in this cell, the last by %s", len(c.Ended), why.Reason)
	why.Hint = "the console logs are " + strings.Join(logs, " and ")
	c.Error = &why
}

// bootPlan is what one boot has to do, and how far it came.
type bootPlan struct {
	cells    []matrix.Cell
	slots    []int // where an answer goes: an index in KernelRun.Cells, or for repeats -1
	running  int   // index of the cell that runs, -1 for none
	finished int   // cells that had no answer before; repeats do not count
}

// planBoot plans the cells without an answer; those in which a boot has ended
// come last. Where a plain watch has its answer from an earlier boot, it is
// measured again for what is to be compared with it.
func planBoot(kr *matrix.KernelRun) *bootPlan {
	p := &bootPlan{running: -1}
	cat := matrix.Catalog{EventSources: guest.EventSources()}
	type place struct{ filesystem, scenario, source string }
	needs, has := map[place]bool{}, map[place]bool{}
	at := func(c matrix.Cell) place { return place{c.Filesystem, c.Scenario, c.Watch.Source} }
	for _, second := range []bool{false, true} {
		for i, c := range kr.Cells {
			if c.Answered() || second != (len(c.Ended) > 0) {
				continue
			}
			p.cells, p.slots = append(p.cells, c.Cell), append(p.slots, i)
			if cat.IsPlain(c.Cell.Watch) {
				has[at(c.Cell)] = true
			} else {
				needs[at(c.Cell)] = true
			}
		}
	}
	var repeats []matrix.Cell
	for _, c := range kr.Cells {
		if pl := at(c.Cell); needs[pl] && !has[pl] && c.Outcome != nil && cat.IsPlain(c.Cell.Watch) {
			repeats = append(repeats, c.Cell)
			has[pl] = true
		}
	}
	p.cells = slices.Concat(repeats, p.cells)
	p.slots = slices.Concat(slices.Repeat([]int{-1}, len(repeats)), p.slots)
	return p
}

// record files one record of the guest under its kernel.
func (r *run) record(kr *matrix.KernelRun, p *bootPlan, rec wire.Record) {
	known := func(i int) bool { return i >= 0 && i < len(p.cells) }
	switch {
	case rec.Hello != nil:
		r.emit(Event{Kernel: kr.Kernel, Boot: &matrix.Boot{Release: rec.Hello.Release, CPUs: rec.Hello.CPUs, Clocksource: rec.Hello.Clocksource}})
	case rec.Note != "":
		r.emit(Event{Kernel: kr.Kernel, Text: rec.Note})
	case rec.Witness != nil:
		kr.Witnesses = slices.DeleteFunc(kr.Witnesses, func(w matrix.Witness) bool {
			return w.Filesystem == rec.Witness.Filesystem && w.Kind == rec.Witness.Kind
		})
		kr.Witnesses = append(kr.Witnesses, *rec.Witness)
	case rec.Begin != nil && known(*rec.Begin):
		c := p.cells[*rec.Begin]
		p.running = *rec.Begin
		r.emit(Event{Kernel: kr.Kernel, Begin: &c})
	case rec.Beat != nil && known(p.running):
		r.emit(Event{Kernel: kr.Kernel, Beat: &Beat{Cell: p.cells[p.running], Trials: rec.Beat.Trials, Stale: rec.Beat.Stale}})
	case rec.Cell != nil && known(rec.Cell.Index):
		done := matrix.CellRun{Cell: p.cells[rec.Cell.Index], Outcome: &rec.Cell.Outcome, Boot: len(kr.Boots) - 1}
		for _, line := range rec.Cell.Outcome.KernelLog {
			if s, ok := splatOf(line); ok {
				done.Splats = append(done.Splats, r.kernelOf(kr).Allow(s))
			}
		}
		p.running = -1
		slot := p.slots[rec.Cell.Index]
		if slot < 0 {
			kr.Repeats = append(kr.Repeats, done)
			return
		}
		p.finished++
		done.Ended = kr.Cells[slot].Ended
		kr.Cells[slot] = done
		r.emit(Event{Kernel: kr.Kernel, Cell: &done, Run: snapshot(kr)})
	}
}

// kernelOf is the matrix's entry of a kernel.
func (r *run) kernelOf(kr *matrix.KernelRun) matrix.Kernel {
	for _, k := range r.cfg.Plan.Kernels {
		if k.Kernel.Name == kr.Kernel {
			return k.Kernel
		}
	}
	return matrix.Kernel{}
}

// logName is a file name for the console of a kernel's n-th boot, whatever the
// kernel is called; the first has number 0.
func logName(kernel string, n int) string {
	safe := strings.Map(func(c rune) rune {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.ContainsRune("._+-", c):
			return c
		}
		return '_'
	}, kernel)
	number := ""
	if n > 0 {
		number = fmt.Sprintf(".%d", n+1)
	}
	return strings.TrimLeft(safe, ".") + number + ".console.log"
}
