package cli

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

// collector keeps what a run has learned so far, saves it cell by cell and
// tells the user: of a cell only when it is saved, so that what was said to be
// finished survives any end. The runner waits for event, so saving happens
// elsewhere.
type collector struct {
	path string
	show *progress

	mu       sync.Mutex // guards what follows
	input    reports.Input
	releases map[string]string // kernel → uname -r
	untold   []func()          // what to say once the next save is through
	err      error             // of the first save that failed

	dirty chan struct{} // has an element where something is not saved yet
	saved chan struct{} // closed when the saver is through
}

func (c *collector) start() {
	c.releases = map[string]string{}
	c.dirty = make(chan struct{}, 1)
	c.saved = make(chan struct{})
	c.save() // the empty report replaces that of an earlier run at once
	c.show.answered(c.answered())
	go func() {
		defer close(c.saved)
		for range c.dirty {
			c.save()
		}
	}()
}

// answered is how many cells have an answer; c.mu is held, or nothing runs yet.
func (c *collector) answered() int {
	n := 0
	for _, run := range c.input.Runs {
		for _, cell := range run.Cells {
			if cell.Answered() {
				n++
			}
		}
	}
	return n
}

func (c *collector) changed() {
	select {
	case c.dirty <- struct{}{}:
	default:
	}
}

func (c *collector) save() {
	c.mu.Lock()
	in := c.input
	in.Runs = slices.Clone(in.Runs)
	in.Finished = time.Now()
	untold := c.untold
	c.untold = nil
	c.mu.Unlock()
	err := reports.Save(c.path, reports.Build(in))
	for _, tell := range untold {
		tell()
	}
	if err == nil {
		return
	}
	c.mu.Lock()
	first := c.err == nil
	if first {
		c.err = err
	}
	c.mu.Unlock()
	if first {
		c.show.line("kqual: " + describe(err))
	}
}

// event is runner.Config.OnEvent; calls do not overlap.
func (c *collector) event(ev runner.Event) {
	switch {
	case ev.Fetch != nil:
		c.show.fetch(*ev.Fetch)
	case ev.Begin != nil:
		c.show.begin(*ev.Begin)
	case ev.Beat != nil:
		c.show.beat(*ev.Beat)
	case ev.Boot != nil:
		c.mu.Lock()
		c.releases[ev.Kernel] = ev.Boot.Release
		c.mu.Unlock()
		c.show.running(ev.Kernel, ev.Kernel+" has booted and waits for its CPUs")
		c.show.detail(fmt.Sprintf("%s: booted %s, %d CPUs, clock %s", ev.Kernel, ev.Boot.Release, ev.Boot.CPUs, ev.Boot.Clocksource))
	case ev.Text != "":
		c.show.line(ev.Kernel + ": " + ev.Text)
	}
	if ev.Run == nil {
		return
	}
	tell := func() {}
	if ev.Cell != nil {
		line := c.cellLine(*ev.Run, *ev.Cell)
		tell = func() { c.show.line(line) }
	} else {
		c.show.through(ev.Kernel)
		if ev.Run.Error != nil && !isInterruption(ev.Run.Error) {
			tell = func() { c.show.failure(ev.Kernel, ev.Run.Error) }
		}
	}
	c.mu.Lock()
	for i := range c.input.Runs {
		if c.input.Runs[i].Kernel == ev.Run.Kernel {
			c.input.Runs[i] = *ev.Run
		}
	}
	known := c.answered()
	c.untold = append(c.untold, func() {
		tell()
		c.show.answered(known)
	})
	c.mu.Unlock()
	c.changed()
}

// cellLine is the line about a finished cell:
//
//	debian-12 6.1.0-37 tmpfs/unlink IN_DELETE: clean <0.1 % (0/2995)  0.8 s
func (c *collector) cellLine(run matrix.KernelRun, cell matrix.CellRun) string {
	c.mu.Lock()
	release := c.releases[run.Kernel]
	s, cat := c.input.Spec.Sampling, c.input.Catalog
	c.mu.Unlock()
	// Only what is known by now may speak; a plain watch comes before those that
	// are compared with it.
	known := run
	known.Cells = slices.DeleteFunc(slices.Clone(run.Cells), func(o matrix.CellRun) bool { return !o.Answered() })
	text := "?"
	for i, v := range matrix.Judge(known, s, cat) {
		if known.Cells[i].Cell.ID() == cell.Cell.ID() {
			text = matrix.VerdictText(v)
		}
	}
	at := cell.Cell
	line := fmt.Sprintf("%s %s %s/%s %s: %s", run.Kernel, release, at.Filesystem, at.Scenario, at.Watch.Name, text)
	if o := cell.Outcome; o != nil && o.Setup+o.Elapsed > 0 {
		line += fmt.Sprintf("  %.1f s", (o.Setup + o.Elapsed).Seconds())
	}
	return line
}

// finish saves the last state and returns the report. What a cell was going to
// be when the run was interrupted, nobody knows: it is missing, not wrong.
func (c *collector) finish(runs []matrix.KernelRun, err error, interrupted bool) (*reports.Report, error) {
	close(c.dirty)
	<-c.saved
	c.input.State = reports.StateDone
	if len(runs) > 0 {
		c.input.Runs = runs
	} else if err != nil { // nothing was started
		why := &matrix.Failure{Side: matrix.SideHost, Reason: err.Error()}
		_ = errors.As(err, &why)
		for i := range c.input.Runs {
			c.input.Runs[i].Error = why
		}
	}
	if interrupted {
		c.input.State = reports.StateInterrupted
		c.input.Runs = withoutInterruptions(c.input.Runs)
	}
	c.input.Finished = time.Now()
	r := reports.Build(c.input)
	if err := reports.Save(c.path, r); err != nil {
		return r, err
	}
	return r, nil
}

// withoutInterruptions takes back the failures that an interruption caused.
func withoutInterruptions(runs []matrix.KernelRun) []matrix.KernelRun {
	out := slices.Clone(runs)
	for i := range out {
		if isInterruption(out[i].Error) {
			out[i].Error = nil
		}
		out[i].Cells = slices.Clone(out[i].Cells)
		for k := range out[i].Cells {
			if isInterruption(out[i].Cells[k].Error) {
				out[i].Cells[k].Error = nil
			}
		}
	}
	return out
}

// isInterruption says whether the runner means that it was interrupted.
func isInterruption(f *matrix.Failure) bool {
	return f != nil && f.Side == matrix.SideHost && strings.HasPrefix(f.Reason, "interrupted")
}
