package cli

import (
	"fmt"
	"strings"

	"github.com/olekukonko/tablewriter/pkg/twwidth"

	"kqual/reports"
)

// columns aligns rows of cells with two spaces between them and none at the
// end of a line. What does not print is quoted.
func columns(rows [][]string) string {
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], twwidth.Width(reports.Printable(cell)))
		}
	}
	var b strings.Builder
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			cell = reports.Printable(cell)
			fmt.Fprintf(&line, "%s%s  ", cell, strings.Repeat(" ", widths[i]-twwidth.Width(cell)))
		}
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	return b.String()
}
