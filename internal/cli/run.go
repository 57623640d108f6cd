package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gofrs/flock"
	"github.com/spf13/cobra"

	"kqual/internal/atomicfile"
	"kqual/kernels"
	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

// What a run writes into its directory.
const (
	resultsName  = "results.json"
	markdownName = "report.md"
	logsName     = "logs"
)

type runOptions struct {
	selector
	budgetFlags
	outputs []string
	dir     string
	asJSON  bool
	wide    bool
	accel   string
	maxTime time.Duration
	resume  bool
}

func (a *app) runCommand() *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Boot every kernel of the matrix and print the table",
		Long: `Get every kernel of the matrix, boot it in a virtual machine, run its cells and
print one table.

The table goes to standard output, one line per finished cell to standard error.
results.json is saved cell by cell, so the first Ctrl-C keeps what is finished;
a second one kills kqual and its virtual machines at once. --resume goes on with
the last run of the matrix that has cells without an answer.

A run has a directory of its own, runs/DATE-TIME-N (UTC), with the matrix as it
was read, results.json, report.md and logs/; runs/latest is the last that began.
Runs stay until you remove them.

--locked takes exactly the kernels that kqual kernels lock wrote down; one that
cannot be had so fails, and the others go on.

` + exitCodes,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd, o) },
	}
	o.selector.flags(cmd)
	o.getFlags(cmd)
	o.budgetFlags.flags(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&o.outputs, "output", "o", nil, outputHelp)
	f.StringVar(&o.dir, "out", "", "`DIR` for results.json, report.md and logs/ (default: a new one in runs/)")
	f.BoolVar(&o.asJSON, "json", false, "print JSON on standard output instead of the table")
	f.BoolVar(&o.wide, "wide", false, wideHelp)
	f.StringVar(&o.accel, "accel", "", "accelerator for every kernel: auto, kvm or tcg (default: what the matrix says)")
	f.BoolVar(&o.resume, "resume", false, "go on with the unfinished run in --out, or with the last in runs/: measure only cells without an answer")
	maxRunTimeFlag(cmd, &o.maxTime)
	_ = cmd.RegisterFlagCompletionFunc("accel", cobra.FixedCompletions(accelerators, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var accelerators = []string{"auto", runner.AccelKVM, runner.AccelTCG}

func (a *app) run(cmd *cobra.Command, o runOptions) error {
	ctx := cmd.Context()
	if err := checkAccel(o.accel); err != nil {
		return err
	}
	budget, err := o.budget()
	if err != nil {
		return err
	}
	if err := checkMaxRunTime(o.maxTime); err != nil {
		return err
	}
	outputs, err := parseOutputs(o.outputs, o.dir)
	if err != nil {
		return err
	}
	if o.asJSON {
		if err := checkWide(o.wide, outputs); err != nil {
			return err
		}
	}
	spec, plan, err := o.plan(ctx, a)
	if err != nil {
		return err
	}
	for _, c := range plan.NoControl {
		a.say("kqual: warning: no cell of a control is selected: %s; nothing else shows what this host can see", reports.Printable(c))
	}
	if plan.NoCosts != "" {
		a.say("kqual: warning: %s", reports.Printable(plan.NoCosts))
	}
	cache, err := o.openCache()
	if err != nil {
		return err
	}
	if o.dir, err = a.chooseDir(o, spec.Hash); err != nil {
		return err
	}
	unlock, err := claim(o.dir, usage(fmt.Errorf("another kqual run is writing to %s; choose another directory with --out", o.dir)))
	if err != nil {
		return err
	}
	defer unlock()
	var known []matrix.KernelRun
	var before time.Duration
	if o.resume {
		if known, before, err = earlier(o.dir, spec, plan); err != nil {
			return err
		}
	}
	if err := a.keepSpec(o, o.dir); err != nil {
		a.say("kqual: %s", describe(err)) // no reason not to measure
	}
	j := job{spec: spec, plan: plan, cache: cache, dir: o.dir, accel: o.accel, budget: budget, maxTime: o.maxTime, known: known, before: before}
	if isRun(o.dir) {
		j.begun = func() error { return pointLatest(o.dir) }
		defer func() {
			next := ""
			if ctx.Err() != nil {
				next = "; kqual run --resume goes on"
			}
			a.say("kqual: this run is kept in %s%s", o.dir, next)
		}()
	}
	r, err := a.perform(ctx, j)
	if r == nil {
		return err
	}
	// A disk that is full must not keep the table from the screen.
	if err := errors.Join(err, a.publish(r, o, outputs)); err != nil {
		return err
	}
	if r.Gate.Exit == exitOK {
		return nil
	}
	return &exitError{code: r.Gate.Exit}
}

// job is a plan with where its results go.
type job struct {
	spec    *matrix.Spec
	plan    *matrix.Plan
	cache   *kernels.Cache
	dir     string
	accel   string // see runner.Config
	budget  runner.Budget
	maxTime time.Duration
	known   []matrix.KernelRun // what need not be measured again
	before  time.Duration      // spent before it was resumed
	begun   func() error       // called when the first results are saved; it may be nil
}

// perform measures a plan into its directory, cell by cell, and returns the
// report. An interruption is no error: the report says so.
func (a *app) perform(ctx context.Context, j job) (*reports.Report, error) {
	likely, _ := runner.Estimate(j.plan, j.budget)
	show := a.newProgress(j.plan.Cells(), likely)
	c := &collector{
		path: filepath.Join(j.dir, resultsName), show: show,
		input: reports.Input{
			Tool: tool(), State: reports.StateRunning, Started: time.Now(), Host: host(),
			Spec: j.spec, Catalog: catalog(), Runs: pending(j.plan, j.known), Earlier: j.before,
		},
	}
	stopWatching := context.AfterFunc(ctx, func() {
		show.interrupted("kqual: interrupted: stopping, finished cells are kept; once more kills at once")
	})
	c.start()
	if j.begun != nil {
		if err := j.begun(); err != nil {
			show.line("kqual: " + describe(err))
		}
	}
	runs, err := a.measure(ctx, runner.Config{
		Plan: j.plan, Sampling: j.spec.Sampling, Cache: j.cache, CacheDir: j.cache.Dir(),
		LogDir: filepath.Join(j.dir, logsName), Accel: j.accel, Budget: j.budget, MaxTime: j.maxTime, Earlier: j.known, OnEvent: c.event,
	})
	stopWatching()
	interrupted := ctx.Err() != nil
	r, saveErr := c.finish(runs, err, interrupted)
	show.close()
	if err != nil && !interrupted {
		return nil, err
	}
	return r, saveErr
}

func checkAccel(name string) error {
	if name == "" || slices.Contains(accelerators, name) {
		return nil
	}
	return usage(fmt.Errorf("--accel: unknown accelerator %q; %s", name, matrix.DidYouMean(name, accelerators)))
}

// publish writes the report in every form that was asked for.
func (a *app) publish(r *reports.Report, o runOptions, outputs []output) error {
	format := "terminal"
	if o.asJSON {
		format = "json"
	}
	markdown, err := reports.LookupFormat("markdown")
	if err != nil {
		return err
	}
	onScreen, err := reports.LookupFormat(format)
	if err != nil {
		return err
	}
	outputs = append(outputs, output{format: markdown, path: filepath.Join(o.dir, markdownName)}, output{format: onScreen, path: "-"})
	var failed []error
	for _, out := range outputs {
		out.wide = o.wide
		failed = append(failed, out.write(a.Out, r))
	}
	return errors.Join(failed...)
}

func tool() reports.Tool { return reports.Tool{Name: "kqual", Version: toolVersion()} }

// claimName is the lock of a directory that a process works in.
const claimName = ".lock"

// claim makes a directory, keeps other processes out of it (they get busy), and
// clears away what a run that was killed while it wrote has left.
func claim(dir string, busy error) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, claimName))
	ok, err := l.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	case !ok:
		return nil, busy
	}
	if err := atomicfile.Clean(dir, resultsName, markdownName, specName, lockName); err != nil {
		_ = l.Unlock()
		return nil, err
	}
	return func() { _ = l.Unlock() }, nil
}

func openCache() (*kernels.Cache, error) {
	dir, err := kernels.DefaultCacheDir()
	if err != nil {
		return nil, err
	}
	return kernels.OpenCache(dir)
}

// pending are the kernel runs of a plan at the start. What an earlier run knows
// stays in the results until its kernel's turn, so that no crash loses it.
func pending(plan *matrix.Plan, known []matrix.KernelRun) []matrix.KernelRun {
	var out []matrix.KernelRun
	for _, k := range plan.Kernels {
		run := matrix.KernelRun{
			Kernel: k.Kernel.Name, Index: k.Index, Machine: k.Kernel.Machine,
			Provenance: matrix.Provenance{Source: k.Kernel.Source},
		}
		for _, c := range k.Cells {
			run.Cells = append(run.Cells, matrix.CellRun{Cell: c})
		}
		for _, old := range known {
			if old.Kernel == run.Kernel {
				run.Provenance = old.Provenance
			}
		}
		runner.Adopt(&run, known)
		out = append(out, run)
	}
	return out
}
