package matrix

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// Trials cluster: those of one block share the groups that were drawn, and
// neighbours share what the host was doing. So no number here treats n trials
// as n independent ones; the block is the sampling unit. What outlasts a whole
// cell (a host that is loaded all the time, a sentinel in a wrong place) no
// interval of that cell can see: the decisive share, the sensitivity that was
// measured on the known-bad kernel, and the controls do.

// The variation between blocks that a zero must allow for, since a zero cannot
// show any: the squared coefficient of variation of the blocks' rates.
const (
	// clusterCV2 is for decisive trials. 1 is that of an exponential
	// distribution: one block in ten has more than twice the mean rate, and one
	// in ten less than a tenth of it. Measured on affected 5.10, TCG, a loaded
	// host, 4 extra groups: 0.2 in 56 blocks (62 % stale of decisive); with 64
	// extra groups all trials went the same way.
	clusterCV2 = 1.0
	// naturalCV2 is for all trials, where nothing but chance brings the reader
	// in. Measured in the same blocks: 4.5 (2.8 % stale).
	naturalCV2 = 5.0
)

// Tally is the evidence of one block: Count of Of.
type Tally struct{ Count, Of int }

// sum adds tallies up.
func sum(blocks []Tally) (t Tally) {
	for _, b := range blocks {
		t.Count += b.Count
		t.Of += b.Of
	}
	return t
}

// effectiveBlocks is the number of equal blocks that would be worth as much:
// (Σn)²/Σn². Source: L. Kish, "Survey Sampling" (1965), section 11.7.
func effectiveBlocks(blocks []Tally) float64 {
	var n, squares float64
	for _, b := range blocks {
		n += float64(b.Of)
		squares += float64(b.Of) * float64(b.Of)
	}
	if squares == 0 {
		return 0
	}
	return n * n / squares
}

// RuledOut is the mean rate that a zero in every block rules out at the given
// confidence. It is 1 where there is no evidence.
//
// Block i has n_i trials, and its rate is gamma distributed over the blocks
// with the mean r and the squared coefficient of variation clusterCV2. Then a
// zero in all of them has the chance Π(1 + clusterCV2·n_i·r)^(-1/clusterCV2),
// and r is where that is 1-confidence. For blocks that do not differ this is
// the rule of three, 3/n at 95 %. Source: M. Greenwood, G. U. Yule, Journal of
// the Royal Statistical Society 83 (1920) 255–279, for the mixture. Its zero is
// likelier than that of the binomial mixture: (1-r)^n ≤ exp(-n·r).
//
// A race that most blocks cannot show at all varies more than that. Of such
// blocks, 24 zeros rule out that more than one in eight shows it: 0.88²⁴ is 5 %.
func RuledOut(blocks []Tally, confidence float64) float64 {
	return ruledOut(blocks, confidence, clusterCV2)
}

// ruledOut is RuledOut for blocks that vary by cv2. Newton's method climbs to
// the rate from below and never passes it, since the evidence is concave.
func ruledOut(blocks []Tally, confidence, cv2 float64) float64 {
	want := wantedEvidence(confidence, cv2)
	if e, _ := zeroEvidence(blocks, 1, cv2); !(e > want) {
		return 1
	}
	const enough = 100 // steps; about 8 are needed
	rate := 0.0
	for range enough {
		e, slope := zeroEvidence(blocks, rate, cv2)
		next := rate + (want-e)/slope
		if !(next > rate) {
			break
		}
		rate = next
	}
	return min(rate, 1)
}

// wantedEvidence is the zeroEvidence that the confidence asks for.
func wantedEvidence(confidence, cv2 float64) float64 { return -cv2 * math.Log1p(-confidence) }

// zeroEvidence is how much a zero in every block speaks against the mean rate,
// -cv2 times the logarithm of its chance, and how fast that grows with the rate.
func zeroEvidence(blocks []Tally, rate, cv2 float64) (evidence, slope float64) {
	for _, b := range blocks {
		n := cv2 * float64(b.Of)
		evidence += math.Log1p(n * rate)
		slope += n / (1 + n*rate)
	}
	return evidence, slope
}

// Interval bounds the mean rate behind the blocks at the given confidence, both
// ends in [0, 1]. A zero has the one-sided upper bound of [RuledOut], since the
// claim that rests on it is one-sided. Everything else is [ClusteredInterval].
//
// The rules by which [Stopper] ends a cell look at the counts, block by block.
// That leaves these intervals their coverage to within the precision of a
// simulation (see the tests): every outcome that stops early ranks above all
// that go on, so the tail beyond it is the tail of a fixed number of trials.
// Source: A. A. Tsiatis, G. L. Rosner, C. R. Mehta, "Exact confidence intervals
// following a group sequential test", Biometrics 40 (1984) 797–803.
func Interval(blocks []Tally, confidence float64) (lo, hi float64) {
	switch t := sum(blocks); {
	case t.Of <= 0:
		return 0, 1
	case t.Count <= 0:
		return 0, RuledOut(blocks, confidence)
	}
	return ClusteredInterval(blocks, confidence)
}

// NaturalInterval is Interval for the rate of a natural scenario, over all
// trials. Its few stale opens cannot show how the blocks differ: from blocks
// alone the interval would miss 11 % of the time (simulated, naturalCV2). So
// they are taken to differ by that at least.
func NaturalInterval(blocks []Tally, confidence float64) (lo, hi float64) {
	if sum(blocks).Count <= 0 {
		return 0, ruledOut(blocks, confidence, naturalCV2)
	}
	return clusteredInterval(blocks, confidence, naturalCV2)
}

// ClusteredInterval is the exact two-sided interval ([FixedInterval]) for the
// number of independent trials that the blocks are worth: n over the design
// effect, which is estimated from how the blocks differ and is at least 1,
// times (z/t)², because few blocks estimate it poorly; t has one degree of
// freedom less than there are effective blocks. Source: E. L. Korn, B. I.
// Graubard, "Confidence intervals for proportions with small expected number of
// positive counts estimated from survey data", Survey Methodology 24 (1998)
// 193–201. One block bounds nothing: [0, 1].
func ClusteredInterval(blocks []Tally, confidence float64) (lo, hi float64) {
	return clusteredInterval(blocks, confidence, 0)
}

// clusteredInterval is ClusteredInterval for blocks whose rates are known to
// vary with at least the squared coefficient of variation cv2: the design
// effect is then at least 1 + cv2 × rate × trials per block.
func clusteredInterval(blocks []Tally, confidence, cv2 float64) (lo, hi float64) {
	t := sum(blocks)
	df := effectiveBlocks(blocks) - 1
	if df < minFreedom {
		return 0, 1
	}
	n, rate := float64(t.Of), float64(t.Count)/float64(t.Of)
	upper := (1 + confidence) / 2
	shrink := distuv.UnitNormal.Quantile(upper) / distuv.StudentsT{Sigma: 1, Nu: df}.Quantile(upper)
	assumed := 1 + cv2*rate*n/effectiveBlocks(blocks)
	n *= shrink * shrink / max(assumed, designEffect(blocks))
	return exactInterval(rate*n, n, confidence)
}

// minFreedom is the smallest number of degrees of freedom with which an
// interval says anything; below, t is in the tens.
const minFreedom = 0.5

// designEffect is by how much the blocks make the variance of the rate larger
// than that of independent trials; 0 where that cannot be told.
func designEffect(blocks []Tally) float64 {
	t := sum(blocks)
	n, rate := float64(t.Of), float64(t.Count)/float64(t.Of)
	var squares, used float64
	for _, b := range blocks {
		if b.Of > 0 {
			used++
			residual := float64(b.Count) - rate*float64(b.Of)
			squares += residual * residual
		}
	}
	if binomial := n * rate * (1 - rate); used > 1 && binomial > 0 {
		return used / (used - 1) * squares / binomial
	}
	return 0
}

// FixedInterval is the exact two-sided interval for a rate, for n independent
// trials with n fixed beforehand. Source: C. J. Clopper, E. S. Pearson, "The
// use of confidence or fiducial limits illustrated in the case of the
// binomial", Biometrika 26 (1934) 404–413.
func FixedInterval(count, n int, confidence float64) (lo, hi float64) {
	if n <= 0 {
		return 0, 1
	}
	return exactInterval(float64(min(max(count, 0), n)), float64(n), confidence)
}

// exactInterval is FixedInterval for counts that need not be whole.
func exactInterval(count, n, confidence float64) (lo, hi float64) {
	tail := (1 - confidence) / 2
	hi = 1
	if count > 0 {
		lo = distuv.Beta{Alpha: count, Beta: max(n-count, 0) + 1}.Quantile(tail)
	}
	if rest := n - count; rest > n*math.SmallestNonzeroFloat32 {
		hi = distuv.Beta{Alpha: count + 1, Beta: rest}.Quantile(1 - tail)
	}
	return lo, hi
}
