package matrix

import (
	"math"

	"gonum.org/v1/gonum/stat/distuv"
)

// RuledOut is the rate that 0 of n trials rule out at the given confidence:
// the one-sided upper bound 1-(1-confidence)^(1/n). It is 1 for n = 0.
// 0 of 2995 at 0.95 rules out 0.001.
func RuledOut(n int, confidence float64) float64 {
	if n <= 0 {
		return 1
	}
	return -math.Expm1(math.Log1p(-confidence) / float64(n))
}

// Interval bounds the rate behind count of n trials at the given confidence,
// both ends in [0, 1]. stop says how the cell came to its end, which decides
// the interval:
//
//   - 0 of n has the one-sided upper bound of [RuledOut], since the claim that
//     rests on it is one-sided.
//   - A cell that stopped at its StaleTarget-th stale trial fixed the count and
//     not the trials: [InverseInterval].
//   - Everything else: [FixedInterval]. It contains the inverse interval, so it
//     is safe where the target was reached by trials that do not count in n.
//
// The rule that [Stopper] applies (zero at Needed, else the target or
// rareFactor times Needed) leaves these intervals their coverage: its outcomes
// are ordered by rate, and the tail beyond each is a binomial one, as in any
// curtailed test. A clean cell and an affected cell's interval are each wrong
// with a chance of at most 1-confidence.
func Interval(count, n int, confidence float64, stop StopReason) (lo, hi float64) {
	switch {
	case n <= 0:
		return 0, 1
	case count <= 0:
		return 0, RuledOut(n, confidence)
	case stop == StopAffected && count == StaleTarget:
		return InverseInterval(count, n, confidence)
	}
	return FixedInterval(count, n, confidence)
}

// FixedInterval is the exact two-sided interval for a rate, where n was fixed
// beforehand. Source: C. J. Clopper, E. S. Pearson, "The use of confidence or
// fiducial limits illustrated in the case of the binomial", Biometrika 26
// (1934) 404–413.
func FixedInterval(count, n int, confidence float64) (lo, hi float64) {
	if n <= 0 {
		return 0, 1
	}
	count = min(max(count, 0), n)
	tail := (1 - confidence) / 2
	hi = 1
	if count > 0 {
		lo = betaQuantile(tail, count, n-count+1)
	}
	if count < n {
		hi = betaQuantile(1-tail, count+1, n-count)
	}
	return lo, hi
}

// InverseInterval is the exact two-sided interval for a rate, where sampling
// went on until count successes were seen and that took n trials. Sources:
// J. B. S. Haldane, "On a method of estimating frequencies", Biometrika 33
// (1945) 222–225, for the sampling; K.-J. Lui, "Confidence limits for the
// population prevalence rate based on the negative binomial distribution",
// Statistics in Medicine 14 (1995) 1471–1477, for the limits.
func InverseInterval(count, n int, confidence float64) (lo, hi float64) {
	if count <= 0 || n < count {
		return 0, 1
	}
	tail := (1 - confidence) / 2
	lo = betaQuantile(tail, count, n-count+1)
	hi = 1
	if n > count {
		hi = betaQuantile(1-tail, count, n-count)
	}
	return lo, hi
}

func betaQuantile(p float64, a, b int) float64 {
	return distuv.Beta{Alpha: float64(a), Beta: float64(b)}.Quantile(p)
}
