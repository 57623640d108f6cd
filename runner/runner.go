package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/runner/wire"
)

// Config is one run.
type Config struct {
	Plan     *matrix.Plan
	Sampling matrix.Sampling
	Cache    *kernels.Cache
	CacheDir string        // where accelerators are remembered
	LogDir   string        // console logs, one per boot; made if missing
	Guest    string        // program to run as PID 1 on the host's own architecture; empty for this one
	Accel    string        // overrides the matrix: auto, kvm, tcg; empty does not
	Budget   Budget        // what of the host the machines may use
	MaxTime  time.Duration // what is not measured then has no answer; 0 for no limit
	// Earlier is what an unfinished run of the same matrix has measured: its
	// outcomes are kept where the kernel is still the same.
	Earlier []matrix.KernelRun
	// OnEvent is told how the run goes on; calls do not overlap.
	OnEvent func(Event)
}

// Event is a step of a run. Exactly one of the pointers is set, or Text.
type Event struct {
	Kernel string
	Fetch  *kernels.Event    // a download or build goes on
	Begin  *matrix.Cell      // a cell starts
	Beat   *Beat             // a cell goes on
	Cell   *matrix.CellRun   // a cell is finished
	Run    *matrix.KernelRun // beside Cell, and alone when a kernel is through: all that is known of the kernel by now
	Boot   *matrix.Boot      // a machine said hello
	Text   string            // anything else worth a line
}

// Beat is how far a cell has come that still runs.
type Beat struct {
	Cell          matrix.Cell
	Trials, Stale int
}

// Run measures the plan and returns one KernelRun per kernel of it, in its
// order, whatever happened: cells without an answer carry the reason. The
// error is for what concerns the whole run: a missing program, no room for
// logs, or the context's error when it was interrupted.
func Run(ctx context.Context, cfg Config) ([]matrix.KernelRun, error) {
	if err := cfg.checkArches(ctx); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.LogDir, 0o755); err != nil {
		return nil, fmt.Errorf("make the log directory: %w", err)
	}
	tmp, release, err := cfg.Cache.Temp() // it goes, even if this process is killed
	if err != nil {
		return nil, err
	}
	defer release()
	disks, err := makeDisks(ctx, cfg.Plan, tmp)
	if err != nil {
		return nil, err
	}
	cfg.Budget = cfg.Budget.Resolve()
	r := &run{
		cfg: cfg, tmp: tmp, disks: disks, turns: newTurns(cfg.Budget, hostLocks),
		runs: make([]matrix.KernelRun, len(cfg.Plan.Kernels)), images: make([]*kernels.Image, len(cfg.Plan.Kernels)),
	}
	for i, k := range cfg.Plan.Kernels {
		r.runs[i] = newKernelRun(k)
	}
	limited, cancel := withRunDeadline(ctx, cfg.MaxTime)
	defer cancel()
	g, ctx := errgroup.WithContext(limited)
	order := bootOrder(cfg.Plan, cfg.Budget)
	g.Go(func() error {
		fetchAll(ctx, g, order, func(i int) string { return cfg.Plan.Kernels[i].Kernel.Source }, func(i int, slow func()) {
			f := r.fetch(ctx, i, slow)
			g.Go(func() error {
				r.kernel(ctx, f, slices.Index(order, i))
				return ctx.Err()
			})
		})
		return ctx.Err()
	})
	err = g.Wait()
	if err == nil {
		err = r.costs(limited)
	}
	for i := range r.runs {
		unanswered(&r.runs[i], r.stopped(limited))
	}
	if errors.Is(context.Cause(limited), errRunDeadline) {
		err = nil // the cells say so
	}
	return r.runs, err
}

type run struct {
	cfg   Config
	tmp   string
	disks map[string]string
	turns *turns

	mu    sync.Mutex // serialises OnEvent
	runs  []matrix.KernelRun
	accel sync.Mutex // one probe at a time
	// images are those of runs, nil where there is none; the machine of a kernel
	// writes its own.
	images []*kernels.Image
}

// fetched is a kernel on its way from the source to a machine.
type fetched struct {
	i     int
	image *kernels.Image
	err   error
	took  time.Duration
}

func newKernelRun(k matrix.KernelPlan) matrix.KernelRun {
	kr := matrix.KernelRun{Kernel: k.Kernel.Name, Index: k.Index, Machine: k.Kernel.Machine}
	kr.Provenance.Source = k.Kernel.Source
	for _, c := range k.Cells {
		kr.Cells = append(kr.Cells, matrix.CellRun{Cell: c})
	}
	return kr
}

// unanswered gives every cell that has neither outcome nor error the reason.
func unanswered(kr *matrix.KernelRun, why *matrix.Failure) {
	for i := range kr.Cells {
		if c := &kr.Cells[i]; !c.Answered() {
			c.Error = why
		}
	}
}

func (r *run) emit(ev Event) {
	if r.cfg.OnEvent == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cfg.OnEvent(ev)
}

// fetch gets a kernel; slow is called when that takes more than a look into the
// cache.
func (r *run) fetch(ctx context.Context, i int, slow func()) fetched {
	k := r.cfg.Plan.Kernels[i].Kernel
	if err := r.cfg.Budget.Check(k); err != nil {
		return fetched{i: i, err: err}
	}
	begin := time.Now()
	env := kernels.Env{Cache: r.cfg.Cache, Kernel: k.Name, Progress: func(ev kernels.Event) {
		slow()
		r.emit(Event{Kernel: k.Name, Fetch: &ev})
	}}
	img, err := kernels.Fetch(ctx, env, k)
	if err == nil {
		// What boots is hashed; a file that was altered in the cache is fetched
		// again, once.
		if err = img.Verify(); err != nil {
			r.emit(Event{Kernel: k.Name, Text: err.Error() + "; getting it again"})
			if err = r.cfg.Cache.Discard(img); err == nil {
				if img, err = kernels.Fetch(ctx, env, k); err == nil {
					err = img.Verify()
				}
			}
		}
	}
	return fetched{i: i, image: img, err: err, took: time.Since(begin)}
}

// kernel boots one kernel and fills in its KernelRun. Of those that wait to
// boot, the one with the smallest order goes first.
func (r *run) kernel(ctx context.Context, f fetched, order int) {
	kr := &r.runs[f.i]
	kr.Fetch = f.took
	err := f.err
	if err == nil {
		kr.Provenance, r.images[f.i] = f.image.Provenance, f.image
		r.adopt(ctx, f, kr)
		err = r.measure(ctx, f, order, kr)
	}
	if err != nil {
		why := failureOf(err)
		if ctx.Err() != nil {
			why = r.stopped(ctx)
		}
		kr.Error = why
		unanswered(kr, why)
	}
	r.emit(Event{Kernel: kr.Kernel, Run: snapshot(kr)})
}

// failureOf is err with whose side it is on: that of the kernel, if it does not
// say.
func failureOf(err error) *matrix.Failure {
	var f *matrix.Failure
	if !errors.As(err, &f) {
		f = &matrix.Failure{Side: matrix.SideKernel, Reason: oneLine(err)}
	}
	return f
}

// adopt takes over what was measured of the kernel with the accelerator that it
// gets now. Where nothing was, no accelerator is tried; where none can be told,
// what is known stays, and what is still to be measured fails.
func (r *run) adopt(ctx context.Context, f fetched, kr *matrix.KernelRun) {
	earlier := slices.DeleteFunc(slices.Clone(r.cfg.Earlier), func(old matrix.KernelRun) bool { return !sameKernel(old, *kr) })
	if len(earlier) == 0 {
		return
	}
	if accel, err := r.chooseAccel(ctx, kr.Machine, f.image, r.tmp); err == nil {
		earlier = slices.DeleteFunc(earlier, func(old matrix.KernelRun) bool {
			return slices.ContainsFunc(old.Boots, func(b matrix.Boot) bool { return b.Accel != accel })
		})
	}
	Adopt(kr, earlier)
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// chooseAccel probes with the image at hand; another machine may be doing the
// same, so one at a time. Guests of another architecture are always emulated.
func (r *run) chooseAccel(ctx context.Context, m matrix.Machine, img *kernels.Image, dir string) (string, error) {
	if !archOf(m).native() {
		return AccelTCG, nil
	}
	r.accel.Lock()
	defer r.accel.Unlock()
	p := Prober{Image: img, Guest: r.cfg.Guest, Dir: dir}
	if r.cfg.CacheDir != "" {
		p.Memory = AccelMemory(r.cfg.CacheDir)
	}
	return p.Choose(ctx, cmp.Or(r.cfg.Accel, m.Accel))
}

// snapshot is a copy that no later record changes.
func snapshot(kr *matrix.KernelRun) *matrix.KernelRun {
	c := *kr
	c.Boots = slices.Clone(kr.Boots)
	c.Witnesses = slices.Clone(kr.Witnesses)
	c.Cells, c.Repeats, c.Costs = slices.Clone(kr.Cells), slices.Clone(kr.Repeats), slices.Clone(kr.Costs)
	return &c
}

func filesystemsOf(cells []matrix.Cell) []wire.Filesystem {
	var out []wire.Filesystem
	for _, c := range cells {
		if !slices.ContainsFunc(out, func(f wire.Filesystem) bool { return f.Name == c.Filesystem }) {
			out = append(out, wire.Filesystem{Name: c.Filesystem})
		}
	}
	return out
}
