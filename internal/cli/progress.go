package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"kqual/kernels"
	"kqual/matrix"
	"kqual/reports"
	"kqual/runner"
)

// progress tells on standard error how a command goes on: lines that stay, and
// on a terminal live bars below them. Its methods may be called from any
// goroutine.
type progress struct {
	err     io.Writer
	verbose bool
	tail    func(log string)

	mu    sync.Mutex
	bars  *mpb.Progress       // nil where standard error is no terminal, and after close
	steps map[string]*mpb.Bar // kernel and step → bar; nil bars where there are none
	cells *mpb.Bar
	eta   eta
	now   map[string]*runningCell // kernel → its line; none where there is no terminal
	lines int                     // that now ever had
}

// runningCell is the live line about a kernel: the cell that runs in it.
type runningCell struct {
	bar  *mpb.Bar
	text atomic.Value // string; drawing must not wait for progress.mu
}

// newProgress makes one for so many cells, which are likely to take so long; 0
// for a command that has none.
func (a *app) newProgress(cells int, likely time.Duration) *progress {
	p := &progress{
		err: a.Err, verbose: a.verbose, tail: a.tail, steps: map[string]*mpb.Bar{}, now: map[string]*runningCell{},
		eta: eta{likely: likely},
	}
	if !isTerminal(a.Err) || os.Getenv("TERM") == "dumb" {
		return p
	}
	p.bars = mpb.New(mpb.WithOutput(a.Err), mpb.WithWidth(barWidth))
	if cells > 0 {
		p.cells = p.bars.New(
			int64(cells), barStyle(),
			mpb.BarPriority(lowest), // below the steps and the cells that run
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.CountersNoUnit("cell %d of %d ")),
			mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO), decor.Any(func(s decor.Statistics) string {
				return ", " + p.eta.text(s.Current, s.Total, time.Now())
			})),
		)
	}
	return p
}

// lowest is the priority of the bar below all others, which come before it in the
// order in which they began.
const lowest = 1 << 20

// barWidth is the width of a bar alone, in columns.
const barWidth = 24

func barStyle() mpb.BarStyleComposer {
	return mpb.BarStyle().Lbound("").Filler("█").Tip("█").Padding("░").Rbound("")
}

// line prints one line that stays.
func (p *progress) line(text string) {
	text = reports.Printable(text) + "\n"
	p.mu.Lock()
	bars := p.bars
	p.mu.Unlock()
	if bars != nil {
		if _, err := bars.Write([]byte(text)); err == nil {
			return
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = io.WriteString(p.err, text)
}

// interrupted is a line about a Ctrl-C, whose echo (^C) has moved the cursor.
func (p *progress) interrupted(text string) {
	p.mu.Lock()
	if p.bars != nil {
		_, _ = io.WriteString(p.err, "\r")
	}
	p.mu.Unlock()
	p.line(text)
}

// detail is a line for those who want to know more.
func (p *progress) detail(text string) {
	if p.verbose {
		p.line(text)
	}
}

// fetch follows a download or build: one bar on a terminal, else one line for
// each step.
func (p *progress) fetch(ev kernels.Event) {
	key := ev.Kernel + "\x00" + ev.Step
	p.mu.Lock()
	bar, known := p.steps[key]
	if !known {
		if p.bars != nil && !ev.End {
			bar = p.step(ev)
		}
		p.steps[key] = bar
	}
	p.mu.Unlock()
	if bar == nil {
		if !known {
			p.line(stepLine(ev))
		}
		return
	}
	bar.SetCurrent(ev.Done)
	if ev.End {
		bar.Abort(true)
		p.line(stepLine(ev))
	}
}

func stepLine(ev kernels.Event) string {
	text := ev.Kernel + ": " + ev.Step
	if size := max(ev.Total, ev.Done); size > 0 {
		text += " (" + bytesText(size) + ")"
	}
	return text
}

// bytesText shows a size in decimal units: 21.0 MB, 14 kB.
func bytesText(n int64) string {
	if n < 1e6 {
		return fmt.Sprintf("%.0f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// step makes the bar of a step; p.mu is held.
func (p *progress) step(ev kernels.Event) *mpb.Bar {
	name := decor.Name(reports.Printable(ev.Kernel + ": " + ev.Step + " "))
	if ev.Total <= 0 {
		return p.bars.New(
			1, mpb.SpinnerStyle(), mpb.BarRemoveOnComplete(), mpb.BarWidth(1),
			mpb.PrependDecorators(name), mpb.AppendDecorators(decor.Elapsed(decor.ET_STYLE_GO)),
		)
	}
	return p.bars.New(
		ev.Total, barStyle(), mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(name), mpb.AppendDecorators(decor.Counters(decor.SizeB1000(0), "% .1f / % .1f")),
	)
}

// begin says which cell of its kernel runs now.
func (p *progress) begin(c matrix.Cell) {
	if p.cells != nil {
		p.eta.begun(p.cells.Current())
	}
	p.running(c.Kernel, cellText(c))
}

// running shows a line about a kernel below all that stays.
func (p *progress) running(kernel, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bars == nil {
		return
	}
	r := p.now[kernel]
	if r == nil {
		r = &runningCell{}
		r.text.Store("")
		r.bar = p.bars.New(
			1, mpb.NopStyle(), mpb.BarPriority(lowest/2+p.lines), mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return r.text.Load().(string) })),
		)
		p.now[kernel] = r
		p.lines++
	}
	r.text.Store(reports.Printable(text))
}

// through takes the line about a kernel away.
func (p *progress) through(kernel string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r := p.now[kernel]; r != nil {
		r.bar.Abort(true)
		delete(p.now, kernel)
	}
}

func cellText(c matrix.Cell) string {
	return fmt.Sprintf("%s %s/%s %s", c.Kernel, c.Filesystem, c.Scenario, c.Watch.Name)
}

// beat says how far the cell has come that runs now.
func (p *progress) beat(b runner.Beat) {
	p.running(b.Cell.Kernel, fmt.Sprintf("%s: %d stale of %d trials", cellText(b.Cell), b.Stale, b.Trials))
}

// answered says how many cells have an answer by now.
func (p *progress) answered(n int) {
	if p.cells != nil {
		p.cells.SetCurrent(int64(n))
	}
}

// failure says why a kernel has no answer.
func (p *progress) failure(kernel string, f *matrix.Failure) {
	p.line(fmt.Sprintf("%s: error: %s", kernel, describeFailure(f)))
	p.tail(f.Log)
}

// close takes the bars away; lines go on.
func (p *progress) close() {
	p.mu.Lock()
	bars := p.bars
	p.bars = nil
	steps := p.steps
	p.steps = map[string]*mpb.Bar{}
	now := p.now
	p.now = nil
	p.mu.Unlock()
	if bars == nil {
		return
	}
	for _, b := range steps {
		if b != nil {
			b.Abort(true)
		}
	}
	for _, r := range now {
		r.bar.Abort(true)
	}
	if p.cells != nil {
		p.cells.Abort(true)
	}
	bars.Wait()
}
