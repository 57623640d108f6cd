package guest

import "kqual/matrix"

func init() {
	checks["open"] = check{Check: matrix.Check{
		Name: "open",
		Doc:  "none: the reader opens the name and trusts what it gets",
	}}
}
