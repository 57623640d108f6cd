package matrix

// VerdictKind is the answer for a cell.
type VerdictKind string

// The verdicts.
const (
	VerdictAffected     VerdictKind = "affected"
	VerdictHolds        VerdictKind = "holds"
	VerdictClean        VerdictKind = "clean"
	VerdictUnsupported  VerdictKind = "unsupported"
	VerdictInconclusive VerdictKind = "inconclusive"
	VerdictError        VerdictKind = "error"
	// VerdictNatural is a natural scenario's zero: what an unmodified
	// application met, with its upper bound. It is no answer to whether the
	// kernel is affected, and no expectation fails by it.
	VerdictNatural VerdictKind = "natural"
)

// Verdict is a cell's answer with the numbers it rests on.
type Verdict struct {
	Kind VerdictKind `json:"kind"`
	// Count of Of: unnoticed stale opens of decisive trials, of stale opens for
	// checks that recognise what they opened, or of all trials in natural
	// scenarios.
	Count int `json:"count"`
	Of    int `json:"of"`
	// Lo and Hi bound the rate at the matrix's confidence, both in [0, 1], see
	// [Interval]; for a zero count Hi is the rate that was ruled out.
	Lo        float64  `json:"lo"`
	Hi        float64  `json:"hi"`
	Reason    string   `json:"reason,omitempty"`    // for unsupported, inconclusive and error
	Footnotes []string `json:"footnotes,omitempty"` // "early order"
}
