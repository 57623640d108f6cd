package runner

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner/guest"
	"kqual/runner/wire"
)

// Deadlines. TCG is five to twenty times slower than KVM, and a host may be
// loaded; these only have to end what would never end.
// Variables for tests.
var (
	// bootDeadline is from the start of QEMU to the guest's first record, for
	// KVM; a cloud kernel takes about usualBoot there and 1 to 3 s under TCG.
	bootDeadline = 30 * time.Second
	// endDeadline is from the done record to the end of QEMU.
	endDeadline = 15 * time.Second
)

const (
	usualBoot = 300 * time.Millisecond
	// tcgFactor scales the deadlines for TCG.
	tcgFactor = 4
)

// recordSlack is how long the guest may be silent, for KVM: a second while
// trials run, a round of a natural scenario, a mount, the ordering of groups. A
// variable for tests.
var recordSlack = 10 * time.Second

// boot is one start of a kernel.
type boot struct {
	image   *kernels.Image
	guest   string // program to run as PID 1 on the host's own architecture; empty for this one
	accel   string
	machine matrix.Machine
	dir     string            // for the initramfs and the console log
	log     string            // console log; empty for one in dir
	disks   map[string]string // filesystem → image
	plan    wire.Plan
	cpus    []int   // host CPUs for a race without turns; none leave that to the host
	turn    *turnOf // what else wants the host's CPUs; nil for nothing
	probe   bool
	// firstRecord is the deadline for the first record; 0 for the default.
	firstRecord time.Duration
	// took is how long the first record took: what tells of the host's speed.
	took time.Duration
	// told is what finished cells reported of the kernel's log.
	told []string
	// onBoot is told what is known of the boot at its first record; it may be nil.
	onBoot func(matrix.Boot)
	// onRecord is called for every record, in order; it may be nil.
	onRecord func(wire.Record)
}

// bootResult is what came of a boot.
type bootResult struct {
	boot    matrix.Boot
	failure *matrix.Failure // nil where the guest said done
	// emulator says that the failure is known to be QEMU's.
	emulator bool
}

// run boots and reads records until the guest is done, or something ends it. The
// machine's turn has come, and is over then.
func (b *boot) run(ctx context.Context) bootResult {
	if b.log == "" {
		b.log = filepath.Join(b.dir, "console.log")
	}
	res := bootResult{boot: matrix.Boot{Accel: b.accel, ConsoleLog: b.log}}
	defer b.turn.ended()
	v, err := b.start(ctx, &res)
	if err != nil {
		var f *matrix.Failure
		if !errors.As(err, &f) {
			f = &matrix.Failure{Side: matrix.SideHost, Reason: err.Error()}
		}
		res.failure, res.boot.End = f, "not started"
		return res
	}
	begin := time.Now()
	b.turn.onRace(v.confine)
	failure := b.follow(ctx, v, &res, begin)
	if failure == nil {
		b.awaitEnd(v)
	}
	// What QEMU came to by itself, before it is stopped.
	var d *deadlineError
	var own *matrix.Failure
	switch {
	case errors.As(failure, &d):
		if v.stopped() {
			own = &matrix.Failure{Side: matrix.SideHost, Reason: "deadline: " + d.text + "; QEMU is stopped (SIGSTOP)", Transient: true}
		}
	case failure == nil:
		own = v.ownEnd(0)
	case ctx.Err() == nil:
		wait := reapTime
		if !errors.Is(failure, wire.ErrIncomplete) {
			wait /= 10 // garbage may come from a QEMU that goes on
		}
		own = v.ownEnd(wait)
	}
	off := v.hasEnded()
	v.stop()
	res.boot.Total = time.Since(begin)
	splats := fresh(b.splats(), b.told)
	res.failure = b.explain(ctx, own, splats, failure)
	if res.failure != nil && res.boot.Release == "" && res.failure.Side == matrix.SideGuest {
		res.failure.Side = matrix.SideBoot // no hello: it did not come up
	}
	if res.failure == nil {
		res.boot.End = afterDone(own, splats, off)
		return res
	}
	if res.failure.Side != matrix.SideHost {
		if what := b.emulatorFault(splats); what != "" {
			res.emulator, res.failure.Transient = true, true
			res.failure.Reason += " (" + what + ")"
		}
	}
	if res.boot.End == "" {
		res.boot.End = string(res.failure.Side)
	}
	res.boot.Why = res.failure.Reason
	return res
}

func (b *boot) start(ctx context.Context, res *bootResult) (*vm, error) {
	a := archOf(b.machine)
	version, err := a.version(ctx)
	if err != nil {
		return nil, err
	}
	res.boot.QEMU, res.boot.CPUModel = version, a.cpuModel(b.accel, b.machine)
	kernel := b.image.Vmlinux
	res.boot.Image = "vmlinux"
	if kernel == "" {
		kernel, res.boot.Image = b.image.Vmlinuz, "vmlinuz"
	}
	initramfs := filepath.Join(b.dir, "initramfs.cpio")
	disks, err := b.initramfs(initramfs)
	if err != nil {
		return nil, err
	}
	if err := os.Remove(b.log); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return startVM(ctx, vmConfig{
		arch: a, accel: b.accel, machine: b.machine, kernel: absolute(kernel), initramfs: absolute(initramfs),
		disks: disks, consoleLog: absolute(b.log), cpus: b.turn.quiet(b.cpus),
	})
}

// initramfs writes the archive and returns the disks in the order in which the
// guest will see them.
func (b *boot) initramfs(path string) ([]string, error) {
	machine := archOf(b.machine)
	plan := b.plan
	plan.Version, plan.Channel, plan.Probe = wire.Version, machine.channel, b.probe
	var disks, modules []string
	plan.Filesystems = nil
	for _, fs := range b.plan.Filesystems {
		f, err := guest.LookupFilesystem(fs.Name)
		if err != nil {
			return nil, err
		}
		modules = append(modules, f.Modules...)
		if f.ImageSize > 0 {
			fs.Device = "/dev/vd" + string(rune('a'+len(disks)))
			disks = append(disks, absolute(b.disks[fs.Name]))
		}
		plan.Filesystems = append(plan.Filesystems, fs)
	}
	a, err := createArchive(path)
	if err != nil {
		return nil, err
	}
	for _, d := range []string{"dev", "proc", "sys", "mnt", "modules"} {
		a.dir(d)
	}
	if err := machine.addInit(a, b.guest); err != nil {
		a.close()
		return nil, err
	}
	if b.image.Modules != "" && len(modules) > 0 {
		order, err := kernels.LoadOrder(b.image.Modules, modules)
		if err != nil {
			a.close()
			return nil, err
		}
		for _, m := range order.Modules {
			data, err := m.Read()
			if err != nil {
				a.close()
				return nil, err
			}
			name := "modules/" + m.Name + ".ko"
			a.file(name, 0o644, data)
			plan.Modules = append(plan.Modules, "/"+name)
		}
	}
	data, err := json.Marshal(plan)
	if err != nil {
		a.close()
		return nil, err
	}
	a.file(strings.TrimPrefix(wire.PlanPath, "/"), 0o644, data)
	return disks, a.close()
}

// follow reads records until done. Its error is why there was no done record.
func (b *boot) follow(ctx context.Context, v *vm, res *bootResult, begin time.Time) error {
	type item struct {
		rec wire.Record
		err error
	}
	items := make(chan item, 16)
	quit := make(chan struct{})
	defer close(quit)
	go func() {
		r := wire.NewReader(v.records)
		for {
			rec, err := r.Read()
			select {
			case items <- item{rec, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	first := b.firstRecord
	if first == 0 {
		first = b.scale(bootDeadline)
	}
	timer := time.NewTimer(first)
	defer timer.Stop()
	var greeted, begun time.Time
	var turn <-chan struct{} // while the guest waits for its CPUs
	limit := newLimits()
	defer limit.stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			if greeted.IsZero() {
				return &deadlineError{"no record within " + first.String(), matrix.SideBoot}
			}
			return &deadlineError{"no record for " + b.between().String(), matrix.SideGuest}
		case <-limit.cell.C:
			return &deadlineError{"the cell was not through within " + b.cellLimit().String(), matrix.SideGuest}
		case <-limit.kernel.C:
			return &deadlineError{"the kernel's cells were not through within " + b.kernelLimit().String(), matrix.SideGuest}
		case <-turn:
			turn, begun = nil, time.Now()
			res.boot.Held = begun.Sub(greeted)
			v.race(ctx, b.machine.VCPUs, b.turn.cpus(b.cpus))
			timer.Reset(b.between())
			limit.kernel.Reset(b.kernelLimit())
		case it := <-items:
			if it.err != nil {
				return it.err
			}
			timer.Reset(b.between())
			rec := it.rec
			first := greeted.IsZero()
			if first {
				if rec.Hello == nil {
					return errors.New("the first record is no hello")
				}
				greeted = time.Now()
				begun = greeted
				b.took = greeted.Sub(begin)
				res.boot.FirstRecord = b.took
				timer.Reset(b.between())
				res.boot.Release, res.boot.CPUs, res.boot.Clocksource = rec.Hello.Release, rec.Hello.CPUs, rec.Hello.Clocksource
				if want := b.image.Release; want != "" && want != rec.Hello.Release {
					return &matrix.Failure{
						Side:   matrix.SideBoot,
						Reason: fmt.Sprintf("the wrong kernel booted: uname -r says %q, the image says %q", rec.Hello.Release, want),
						Log:    b.log,
					}
				}
			}
			if first && b.onBoot != nil {
				known := res.boot
				known.End = matrix.BootRuns
				b.onBoot(known)
			}
			if rec.Cell != nil {
				b.told = append(b.told, rec.Cell.Outcome.KernelLog...)
			}
			if b.onRecord != nil {
				b.onRecord(rec)
			}
			switch {
			case rec.Begin != nil:
				limit.cell.Reset(b.cellLimit())
			case rec.Cell != nil:
				limit.cell.Stop()
			}
			if rec.Done != nil {
				res.boot.Cells = time.Since(begun)
				b.turn.raced()
				return nil
			}
			if first && !b.probe {
				turn = b.turn.booted()
			}
			if turn != nil { // a guest that waits is silent
				timer.Stop()
			}
		}
	}
}

// deadlineError is a wait that took too long.
type deadlineError struct {
	text string
	side matrix.Side
}

func (e *deadlineError) Error() string { return e.text }

func (b *boot) scale(d time.Duration) time.Duration {
	if b.accel == AccelTCG {
		return tcgFactor * d
	}
	return d
}

// between is how long the guest may be silent: the slower this host was to boot
// it, the longer.
func (b *boot) between() time.Duration {
	return max(b.scale(recordSlack), time.Duration(float64(recordSlack)*float64(b.took)/float64(usualBoot)))
}

// awaitEnd gives a guest that is done the time to power off.
func (b *boot) awaitEnd(v *vm) {
	select {
	case <-v.ended:
	case <-time.After(b.scale(endDeadline)):
	}
}

// explain turns the end of a boot into a failure that names a side, with what
// the console says; nil where the guest was done.
func (b *boot) explain(ctx context.Context, own *matrix.Failure, splats []matrix.Splat, err error) *matrix.Failure {
	if err == nil {
		return nil
	}
	var f *matrix.Failure
	if errors.As(err, &f) {
		return f
	}
	f = &matrix.Failure{Side: matrix.SideGuest, Reason: err.Error(), Log: b.log}
	if ctx.Err() != nil {
		f.Side, f.Reason = matrix.SideHost, "interrupted"
		return f
	}
	// A QEMU that was killed outranks what a kernel survived, not its panic.
	if splat, ok := worst(splats); ok && (own == nil || died(splats)) {
		f.Reason = splat.Kind + ": " + splat.Line
		return f
	}
	var d *deadlineError
	switch {
	case own != nil:
		own.Log = b.log
		return own
	case errors.As(err, &d):
		f.Side, f.Reason, f.Transient = d.side, "deadline: "+d.text, true
		if b.silent() {
			f.Reason += ", and nothing on the console"
		}
	case errors.Is(err, wire.ErrIncomplete):
		f.Reason, f.Transient = "lost channel: the machine "+b.machineEnd()+" before the guest was done", true
		if line := b.lastWords(); line != "" {
			f.Reason += ": " + line
		}
	case errors.Is(err, io.EOF):
		f.Reason, f.Transient = "lost channel", true
	default:
		f.Reason, f.Transient = "garbage on the channel: "+err.Error(), true
	}
	return f
}

// afterDone says how a machine ended whose guest was done: nothing of that
// changes an answer.
func afterDone(own *matrix.Failure, splats []matrix.Splat, off bool) string {
	if s, ok := worst(splats); ok && died(splats) {
		return "done, then " + s.Kind + ": " + s.Line
	}
	switch {
	case own != nil:
		return "done, then " + own.Reason
	case !off:
		return "done, but did not power off"
	}
	return "done"
}

// splats is the trouble that the console tells of.
func (b *boot) splats() []matrix.Splat {
	file, err := os.Open(b.log)
	if err != nil {
		return nil
	}
	defer file.Close()
	return scanConsole(file)
}
