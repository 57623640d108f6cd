package matrix

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// VerdictText is a verdict in the few characters of a table:
//
//	STALE 1826/1828 [99.6 %, 100 %]
//	holds 0/2995
//	clean <0.1 % (0/2995)
//	natural 0/20000
//	n/a ENODEV
//	? REASON
//	error REASON
//
// A zero always has its denominator. Footnotes are left to the caller.
func VerdictText(v Verdict) string {
	switch v.Kind {
	case VerdictAffected:
		return fmt.Sprintf("STALE %d/%d %s", v.Count, v.Of, IntervalText(v.Lo, v.Hi))
	case VerdictHolds:
		return fmt.Sprintf("holds %d/%d", v.Count, v.Of)
	case VerdictClean:
		return fmt.Sprintf("clean <%s (%d/%d)", percentBound(v.Hi), v.Count, v.Of)
	case VerdictNatural:
		return fmt.Sprintf("natural %d/%d", v.Count, v.Of)
	case VerdictUnsupported:
		reason := v.Reason // fanotify_mark FAN_DELETE: ENODEV
		if i := strings.LastIndex(reason, ": "); i >= 0 {
			reason = reason[i+2:]
		}
		return "n/a " + reason
	case VerdictInconclusive:
		return "? " + v.Reason
	case VerdictError:
		return "error " + v.Reason
	}
	return "? unknown verdict " + strconv.Quote(string(v.Kind))
}

// IntervalText is an interval of a rate: [99.6 %, 100 %].
func IntervalText(lo, hi float64) string {
	return fmt.Sprintf("[%s, %s]", percentDown(lo), percentUp(hi))
}

// percentDigits is how many significant digits a percentage shows.
const percentDigits = 3

// boundSlack is by how much a bound may be rounded up for the sake of fewer
// digits: 0.0973 % is shown as 0.1 %.
const boundSlack = 1.05

// percentBound shows an upper bound, a rate in [0, 1], with as few digits as
// will do, rounded up.
func percentBound(rate float64) string {
	for digits := range percentDigits - 1 {
		if p := percentValue(rate, math.Ceil, digits+1); p <= 100*rate*boundSlack {
			return strconv.FormatFloat(p, 'f', -1, 64) + " %"
		}
	}
	return percentUp(rate)
}

// percentDown and percentUp show a rate in [0, 1] as a percentage, rounded so
// that an interval never looks narrower than it is.
func percentDown(rate float64) string { return percentRound(rate, math.Floor) }
func percentUp(rate float64) string   { return percentRound(rate, math.Ceil) }

// percent shows a rate in [0, 1] that somebody wrote down: 0.1 %.
func percent(rate float64) string { return percentRound(rate, math.Round) }

func percentRound(rate float64, round func(float64) float64) string {
	return strconv.FormatFloat(percentValue(rate, round, percentDigits), 'f', -1, 64) + " %"
}

// percentValue is a rate in percent, rounded to so many significant digits.
func percentValue(rate float64, round func(float64) float64, digits int) float64 {
	p := rate * 100
	if p <= 0 || math.IsNaN(p) {
		return 0
	}
	scale := math.Pow(10, float64(digits)-1-math.Floor(math.Log10(p)))
	x := p * scale
	// Noise of the binary fraction must not move a round number by a digit.
	if r := math.Round(x); math.Abs(x-r) < 1e-9*r {
		x = r
	}
	return round(x) / scale
}
