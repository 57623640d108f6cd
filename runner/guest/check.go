package guest

import "kqual/matrix"

// check is what the reader does before it trusts what it opened. Neither
// function may allocate: they run between an event and the end of a trial.
type check struct {
	matrix.Check
	// before runs between the event and the open, and becomes the reader's
	// first action; nil for checks that look at what was opened.
	before func(r *reader)
	// dead looks at what was opened and says whether it is the dead file; nil
	// for checks that run before the open.
	dead func(r *reader, fd int) bool
}
