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

	"kqual/kernels"
	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

// What a run writes below its output directory.
const (
	defaultOut   = "out"
	resultsName  = "results.json"
	markdownName = "report.md"
	logsName     = "logs"
)

type runOptions struct {
	selector
	outputs []string
	dir     string
	asJSON  bool
	accel   string
	jobs    int
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
a second one kills kqual and its virtual machines at once.

--locked takes exactly the kernels that kqual kernels lock wrote down; one that
cannot be had so fails, and the others go on.

` + exitCodes,
		Args: exactly(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.run(cmd, o) },
	}
	o.flags(cmd)
	o.getFlags(cmd)
	f := cmd.Flags()
	f.StringArrayVarP(&o.outputs, "output", "o", nil, outputHelp)
	f.StringVar(&o.dir, "out", defaultOut, "`DIR` for results.json, report.md and logs/")
	f.BoolVar(&o.asJSON, "json", false, "print JSON on standard output instead of the table")
	f.StringVar(&o.accel, "accel", "", "accelerator for every kernel: auto, kvm or tcg (default: what the matrix says)")
	f.BoolVar(&o.resume, "resume", false, "go on with the unfinished run in --out: measure only cells without an answer")
	f.IntVarP(&o.jobs, "jobs", "j", 0, "virtual machines at a time (default: what the host's CPUs allow)")
	_ = cmd.RegisterFlagCompletionFunc("accel", cobra.FixedCompletions(accelerators, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

var accelerators = []string{"auto", runner.AccelKVM, runner.AccelTCG}

func (a *app) run(cmd *cobra.Command, o runOptions) error {
	ctx := cmd.Context()
	if err := o.check(); err != nil {
		return err
	}
	outputs, err := parseOutputs(o.outputs)
	if err != nil {
		return err
	}
	spec, plan, err := o.plan(ctx, a)
	if err != nil {
		return err
	}
	for _, c := range plan.NoControl {
		a.say("kqual: warning: no cell of a control is selected: %s; nothing else shows what this host can see", reports.Printable(c))
	}
	unlock, err := claim(o.dir)
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
	cache, err := o.openCache()
	if err != nil {
		return err
	}

	show := a.newProgress(plan.Cells())
	c := &collector{
		path: filepath.Join(o.dir, resultsName), show: show,
		input: reports.Input{
			Tool: tool(), State: reports.StateRunning, Started: time.Now(), Host: host(),
			Spec: spec, Catalog: catalog(), Runs: pending(plan, known), Earlier: before,
		},
	}
	stopWatching := context.AfterFunc(ctx, func() {
		show.interrupted("kqual: interrupted: stopping, finished cells are kept; once more kills at once")
	})
	c.start()
	runs, err := a.measure(ctx, runner.Config{
		Plan: plan, Sampling: spec.Sampling, Cache: cache, CacheDir: cache.Dir(),
		LogDir: filepath.Join(o.dir, logsName), Accel: o.accel, Jobs: o.jobs, Earlier: known, OnEvent: c.event,
	})
	stopWatching()
	interrupted := ctx.Err() != nil
	r, saveErr := c.finish(runs, err, interrupted)
	show.close()
	if err != nil && !interrupted {
		return err
	}
	if saveErr != nil {
		return saveErr
	}
	if err := a.publish(r, o, outputs); err != nil {
		return err
	}
	if r.Gate.Exit == exitOK {
		return nil
	}
	return &exitError{code: r.Gate.Exit}
}

func (o runOptions) check() error {
	switch {
	case o.accel != "" && !slices.Contains(accelerators, o.accel):
		return usage(fmt.Errorf("--accel: unknown accelerator %q; %s", o.accel, matrix.DidYouMean(o.accel, accelerators)))
	case o.jobs < 0:
		return usage(fmt.Errorf("--jobs: %d is less than 0; leave it out to let the host's CPUs decide", o.jobs))
	}
	return nil
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
		failed = append(failed, out.write(a.Out, r))
	}
	return errors.Join(failed...)
}

func tool() reports.Tool { return reports.Tool{Name: "kqual", Version: toolVersion()} }

// claim makes the output directory and keeps other runs out of it.
func claim(dir string) (unlock func(), err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make the output directory: %w", err)
	}
	l := flock.New(filepath.Join(dir, ".lock"))
	ok, err := l.TryLock()
	switch {
	case err != nil:
		return nil, fmt.Errorf("lock the output directory: %w", err)
	case !ok:
		return nil, usage(fmt.Errorf("another kqual run is writing to %s; choose another directory with --out", dir))
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
