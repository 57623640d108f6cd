package guest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"kqual/matrix"
)

const (
	// defaultPressure is the number of extra groups that auto starts with.
	defaultPressure = 64
	// maxPressure is where auto stops raising.
	maxPressure = 384
	// enoughDecisive is the share of decisive trials below which auto raises
	// the pressure.
	enoughDecisive = 0.8
	// yieldSample is the number of trials after which a block's yield is judged.
	yieldSample = 48
	// blocksPerCell spreads a cell's trials: they cluster in time, and each
	// block draws its own groups.
	blocksPerCell = 4
	// sentinelShare is the sentinel's place in the order of telling, as a share
	// of all groups: what comes after it is the time left for the open.
	sentinelShare = 0.6
	// futileAfter is the trial time after which a cell may be given up when
	// its yield says that max_time will not do; futileFactor is the safety in
	// that forecast.
	futileAfter  = 2 * time.Second
	futileFactor = 4
)

// machine is what the cells of one boot share.
type machine struct {
	cpus     int
	sampling matrix.Sampling
	rng      *rand.Rand
	pools    map[string]*pool
}

// cell measures one cell below root, the mount point of its filesystem.
func (m *machine) cell(c matrix.Cell, root string) matrix.Outcome {
	out, err := m.measure(c, root)
	var r *refusal
	switch {
	case errors.As(err, &r):
		out.Status, out.Refusal = matrix.Unsupported, &r.Refusal
	case err != nil:
		out.Status, out.Failure = matrix.Failed, err.Error()
	default:
		out.Status = matrix.Measured
	}
	return out
}

func (m *machine) measure(c matrix.Cell, root string) (matrix.Outcome, error) {
	out := matrix.Outcome{}
	src, sc, ck := eventSources[c.Watch.Source], scenarioOn(c.Filesystem, c.Scenario), checks[c.Watch.Check]
	if src == nil || sc.create == nil || ck.Name == "" {
		return out, fmt.Errorf("this guest does not know %s", c.ID())
	}
	begin := time.Now()
	p, err := m.pool(src, sc, c.Watch, root)
	out.Setup = time.Since(begin)
	if err != nil {
		return out, err
	}
	stopper := matrix.Stopper{
		Needed:     matrix.Needed(m.sampling.DetectionLimit, m.sampling.Confidence),
		Recognises: ck.Recognises,
		MaxTime:    m.sampling.MaxTime,
	}
	for out.Stop == "" {
		if err := m.block(&out, p, src, sc, ck, c.Watch, root, stopper); err != nil {
			return out, err
		}
	}
	return out, nil
}

// pool returns the groups for w, made and ordered at the first use. Kernels
// with a fixed number of fanotify groups hold one fanotify pool at a time.
func (m *machine) pool(src eventSource, sc scenario, w matrix.Watch, root string) (*pool, error) {
	key := src.poolKey(w)
	if p, ok := m.pools[key]; ok {
		return p, m.tryMark(p, w, root)
	}
	limit := src.poolLimit()
	extra := m.sampling.Pressure
	if extra == matrix.PressureAuto {
		extra = defaultPressure
	}
	want := poolSpare * (extra + 1)
	if limit < want {
		want = limit
		for other, p := range m.pools {
			if other != key {
				p.close()
				delete(m.pools, other)
			}
		}
	}
	p, err := openPool(src, sc, w, root, want)
	if err != nil {
		return nil, err
	}
	p.current = m.sampling.Pressure
	if p.current == matrix.PressureAuto {
		p.current = min(defaultPressure, len(p.groups)-1)
	}
	m.pools[key] = p
	return p, nil
}

// tryMark asks the kernel whether w can be placed here at all.
func (m *machine) tryMark(p *pool, w matrix.Watch, root string) error {
	d, err := newDir(root, "try")
	if err != nil {
		return err
	}
	defer d.remove()
	if err := p.groups[0].mark(w, d.path); err != nil {
		return err
	}
	return p.groups[0].unmark()
}

// block runs one block of trials and adds it to out.
func (m *machine) block(out *matrix.Outcome, p *pool, src eventSource, sc scenario, ck check, w matrix.Watch, root string, stopper matrix.Stopper) error {
	begin := time.Now()
	d, err := newDir(root, "b")
	if err != nil {
		return err
	}
	defer d.remove()
	groups := p.draw(m.rng, p.current)
	for _, g := range groups {
		if err := g.mark(w, d.path); err != nil {
			return err
		}
	}
	defer func() {
		for _, g := range groups {
			g.unmark()
		}
		p.drain()
	}()
	sentinel := 0
	if len(groups) > 1 {
		sentinel = max(1, int(sentinelShare*float64(len(groups)-1)))
	}
	noisy := src.mask(w)&eventBits&^sc.bits != 0
	b, err := newBlock(sc, ck, d, groups, sentinel, noisy, m.cpus, m.rng.Uint64())
	if err != nil {
		return err
	}
	defer b.close()
	bl := matrix.Block{Groups: len(groups), Sentinel: sentinel, Setup: time.Since(begin)}
	defer func() {
		out.Blocks = append(out.Blocks, bl)
		out.Setup += bl.Setup
	}()

	// The last block goes on until the stopper is content; the others make room
	// when their share of the evidence is in.
	share := float64(len(out.Blocks)+1) / blocksPerCell
	before := out.Counts
	spent := out.Elapsed
	start := time.Now()
	for out.Stop == "" {
		if err := b.trial(&bl.Counts); err != nil {
			return err
		}
		took := time.Since(start) - bl.Elapsed
		bl.Elapsed += took
		bl.Slowest = max(bl.Slowest, took)
		out.Elapsed = spent + bl.Elapsed
		stale := out.Counts.Stale
		out.Counts = before
		out.Counts.Add(bl.Counts)
		if stale == 0 && out.Counts.Stale > 0 {
			out.FirstStale = out.Elapsed
		}
		out.Stop = stopper.Stop(out.Counts, out.Elapsed)
		if out.Stop != "" {
			break
		}
		progress := stopper.Progress(out.Counts)
		if futile(progress, out.Elapsed, stopper.MaxTime) {
			out.Stop = matrix.StopFutile
			break
		}
		if bl.Trials == yieldSample && m.raise(p, bl.Counts) {
			break
		}
		if share < 1 && progress >= share {
			break
		}
	}
	return nil
}

// raise raises the pool's pressure where too few trials of a block were
// decisive, and says whether it did.
func (m *machine) raise(p *pool, c matrix.Counts) bool {
	if m.sampling.Pressure != matrix.PressureAuto || m.cpus == 1 {
		return false
	}
	if float64(c.Decisive) >= enoughDecisive*float64(c.Trials) {
		return false
	}
	limit := min(maxPressure, len(p.groups)-1)
	if p.current >= limit {
		return false
	}
	p.current = min(2*p.current, limit)
	return true
}

// futile says whether, at the yield so far, the evidence would come in only
// long after maxTime.
func futile(progress float64, elapsed, maxTime time.Duration) bool {
	return elapsed >= min(futileAfter, maxTime/2) && progress*futileFactor*maxTime.Seconds() < elapsed.Seconds()
}
