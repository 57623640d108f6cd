package guest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"kqual/matrix"
)

const (
	// defaultPressure is the number of extra groups that auto starts with.
	defaultPressure = 64
	// maxPressure is where auto stops raising.
	maxPressure = 384
	// enoughDecisive is the share of decisive trials below which auto raises
	// the pressure. Twice the groups make a trial 1.3 to 2 times as long, so
	// that they pay only where less than half of the trials are decisive.
	enoughDecisive = 0.5
	// yieldSample is the number of trials after which the yield is judged. The
	// first blocks are short and differ: one of 31 trials with 7 decisive ones
	// stood between 23 with 94 % (6.1, measured), so several must speak.
	yieldSample = 160
	// filePressure bounds the extra groups where the file itself is watched:
	// each trial then costs a mark per group, 60 to 80 µs each under TCG.
	filePressure = 64
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
	partner  *partner // of the cell at hand; nil where it needs none
	// beat tells the host that the cell goes on; it is called between trials.
	beat func(matrix.Counts)
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
	if src == nil || sc.Name == "" || ck.Name == "" {
		return out, fmt.Errorf("this guest does not know %s", c.ID())
	}
	stopper := matrix.NewStopper(m.sampling, ck.Recognises, sc.Natural)
	if sc.churn != nil {
		err := m.churn(&out, src, sc, ck, c.Watch, root, stopper)
		return out, err
	}
	begin := time.Now()
	p, err := m.pool(src, sc, c.Watch, root)
	if err == nil && sc.held > 0 {
		if m.partner, err = startPartner(); err == nil {
			defer func() {
				m.partner.close()
				m.partner = nil
			}()
		}
	}
	out.Setup = time.Since(begin)
	if err != nil {
		return out, err
	}
	var sample matrix.Counts
	for out.Stop == "" {
		if err := m.block(&out, p, src, sc, ck, c.Watch, root, stopper, &sample); err != nil {
			return out, err
		}
		if out.Stop == "" {
			out.Stop = stopper.Stop(out.Blocks)
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
	if err := markGroup(p.groups[0], w, d.path); err != nil {
		return err
	}
	return p.groups[0].unmark()
}

// block runs one block of trials, with a directory and groups of its own, and
// adds it to out. sample are the trials since the pressure was last judged.
func (m *machine) block(out *matrix.Outcome, p *pool, src eventSource, sc scenario, ck check, w matrix.Watch, root string, stopper matrix.Stopper, sample *matrix.Counts) (err error) {
	begin := time.Now()
	d, err := newDir(root, "b")
	if err != nil {
		return err
	}
	defer d.remove()
	aside, err := newAside(sc, root)
	if err != nil {
		return err
	}
	defer aside.remove()
	extra := p.current
	if sc.Object == matrix.ObjectFile {
		extra = min(extra, filePressure)
	}
	groups, by, err := p.cast(m.rng, extra, w)
	if err != nil {
		return err
	}
	mark := func(path string) error { return markAll(src, groups, by, w, path) }
	all := groups // the bystander's queue is emptied with the companions'
	if by != nil {
		all = append(slices.Clone(groups), by)
	}
	if sc.Object != matrix.ObjectFile {
		if err := mark(d.path); err != nil {
			return err
		}
	}
	defer func() {
		for _, g := range all {
			g.unmark()
		}
		p.drain()
	}()
	sentinel := 0
	if len(groups) > 1 {
		sentinel = max(1, int(sentinelShare*float64(len(groups)-1)))
	}
	noisy := src.mask(w)&eventBits&^sc.bits != 0 || sc.clean != nil || sc.Object == matrix.ObjectFile
	b, err := newBlock(sc, ck, w.UID, d, all, sentinel, noisy, m.cpus, m.rng.Uint64())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	b.victim.asidefd, b.partner = aside.fd, m.partner
	if sc.Object == matrix.ObjectFile {
		b.mark = func() error { return markBatch(&b.victim, d, mark) }
	}
	bl := matrix.Block{Groups: len(groups), Sentinel: sentinel, Setup: time.Since(begin)}
	defer func() {
		out.Blocks = append(out.Blocks, bl)
		out.Setup += bl.Setup
	}()

	if sample.Trials >= yieldSample {
		*sample = matrix.Counts{} // judged, once in a block
	}
	before := out.Counts
	spent := out.Elapsed
	start := time.Now()
	for !stopper.Full(len(out.Blocks), bl.Counts) {
		was := bl.Counts
		if err := b.trial(&bl.Counts); err != nil {
			return err
		}
		m.beat(out.Counts)
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
		sample.Trials += bl.Trials - was.Trials
		sample.Decisive += bl.Decisive - was.Decisive
		switch {
		case out.Elapsed >= stopper.MaxTime:
			out.Stop = matrix.StopMaxTime
			return nil
		case futile(stopper.Progress(out.Counts), out.Elapsed, stopper.MaxTime):
			out.Stop = matrix.StopFutile
			return nil
		case sample.Trials == yieldSample && bl.Trials > was.Trials && sc.Object != matrix.ObjectFile && m.raise(p, *sample):
			return nil
		}
	}
	return nil
}

// markBatch makes the groups watch the files of the victim's batch, when the
// victim is the first of it: placing marks between two trials would keep the
// kernel busy with the marks that went with the last file.
func markBatch(v *victim, d *dir, mark func(path string) error) error {
	first := v.seq
	if first%batchSize != 1 {
		return nil
	}
	for n := first; n < first+batchSize; n++ {
		v.set(v.nonce, n)
		if err := mark(d.file(v)); err != nil {
			return err
		}
	}
	v.set(v.nonce, first)
	return nil
}

// raise raises the pool's pressure where too few trials of a sample were
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
