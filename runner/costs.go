package runner

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"kqual/matrix"
	"kqual/runner/wire"
)

// costTries is how often a boot that measures costs is started where the host
// had bad luck.
const costTries = 2

// costs has the kernels that could be had boot in turns, one at a time and
// nothing beside, so that what the host does meets all of them alike. A round
// boots each once, the next one begins with another. Rounds that an earlier part
// of this run has measured whole stay.
func (r *run) costs(ctx context.Context) error {
	plan := r.cfg.Plan.Costs
	if plan == nil {
		return nil
	}
	var turns []int // indexes of r.runs
	baseline := false
	for i := range r.runs {
		if r.images[i] != nil && r.runs[i].Error == nil {
			turns = append(turns, i)
			baseline = baseline || r.runs[i].Kernel == plan.Baseline
		} else {
			r.runs[i].Costs = nil
		}
	}
	if !baseline {
		r.emit(Event{Kernel: plan.Baseline, Text: "no costs of unlink are measured: this is their baseline, and it has no answer"})
		return nil
	}
	for round := range plan.Boots {
		if r.measuredWhole(turns, round, plan.Groups) {
			continue
		}
		for n := range turns {
			i := turns[(n+round)%len(turns)]
			kr := &r.runs[i]
			got, err := r.costBoot(ctx, i, round, plan)
			if err != nil {
				return err
			}
			if got.Error != nil {
				r.emit(Event{Kernel: kr.Kernel, Text: "no costs of unlink: " + got.Error.Reason})
			}
			kr.Costs = append(slices.DeleteFunc(slices.Clone(kr.Costs), func(b matrix.CostBoot) bool { return b.Round == round }), got)
			r.emit(Event{Kernel: kr.Kernel, Run: snapshot(kr)})
		}
		r.emit(Event{Kernel: plan.Baseline, Text: fmt.Sprintf("costs of unlink: round %d of %d is through", round+1, plan.Boots)})
	}
	return nil
}

// measuredWhole says whether all kernels have what a round measures.
func (r *run) measuredWhole(turns []int, round int, groups []int) bool {
	for _, i := range turns {
		if !slices.ContainsFunc(r.runs[i].Costs, func(b matrix.CostBoot) bool {
			return b.Round == round && len(b.Samples) == len(groups)
		}) {
			return false
		}
	}
	return true
}

// costBoot is one boot. Its error is only the context's.
func (r *run) costBoot(ctx context.Context, i, round int, plan *matrix.CostPlan) (matrix.CostBoot, error) {
	kr := &r.runs[i]
	got := matrix.CostBoot{Round: round}
	dir, err := os.MkdirTemp(r.tmp, "costs-")
	if err != nil {
		got.Error = &matrix.Failure{Side: matrix.SideHost, Reason: oneLine(err)}
		return got, ctx.Err()
	}
	defer os.RemoveAll(dir)
	accel, err := r.chooseAccel(ctx, kr.Machine, r.images[i], dir)
	if err != nil {
		got.Error = failureOf(err)
		return got, ctx.Err()
	}
	for range costTries {
		b := &boot{
			image: r.images[i], guest: r.cfg.Guest, accel: accel, machine: kr.Machine, dir: dir,
			turn: r.turnOf(i, kr),
			log:  filepath.Join(r.cfg.LogDir, logName(kr.Kernel+".costs", round)),
			plan: wire.Plan{Kernel: kr.Kernel, Cost: &wire.CostPlan{Groups: plan.Groups}},
		}
		got.Samples = nil
		b.onRecord = func(rec wire.Record) {
			switch {
			case rec.Cost != nil:
				got.Samples = append(got.Samples, *rec.Cost)
			case rec.Note != "":
				r.emit(Event{Kernel: kr.Kernel, Text: rec.Note})
			}
		}
		if err := b.turn.boot(ctx); err != nil {
			return got, err
		}
		res := b.run(ctx)
		got.Accel, got.QEMU, got.Total, got.Error = res.boot.Accel, res.boot.QEMU, res.boot.Total, res.failure
		if ctx.Err() != nil {
			return got, ctx.Err()
		}
		if got.Error == nil && len(got.Samples) != len(plan.Groups) {
			got.Error = &matrix.Failure{Side: matrix.SideGuest, Reason: "the guest was done without all costs", Log: b.log}
		}
		if got.Error == nil || !got.Error.Transient {
			break
		}
	}
	if got.Error != nil {
		got.Samples = nil
	}
	return got, nil
}
