package nightly

import (
	"bytes"
	"fmt"

	"kqual/reports"
)

// Text says what changed, how old the rest is, and what it amounts to.
func (n Night) Text(o reports.Options) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "night %s: %d of %d cells measured, %d taken over\n", reports.Printable(n.Run), n.Measured, n.Cells, len(n.Carried))
	if n.Baseline == "" {
		fmt.Fprintln(&b, "the first night: nothing to compare with")
	} else {
		fmt.Fprintf(&b, "compared with %s:\n", reports.Printable(n.Baseline))
		if err := n.Diff.Render(&b, o); err != nil {
			return nil, err
		}
	}
	if len(n.Carried) > 0 {
		rows := [][]string{}
		for _, c := range n.Carried {
			rows = append(rows, []string{c.Cell, "decided by " + c.Run, c.Age + " ago"})
		}
		fmt.Fprintf(&b, "\nNot measured again\n%s", reports.Columns(rows))
	}
	for _, line := range n.Unverified {
		fmt.Fprintf(&b, "\n%s\n", reports.Printable(line))
	}
	fmt.Fprintf(&b, "\n%s (exit %d)\n", reports.Printable(n.Why), n.Exit)
	return b.Bytes(), nil
}
