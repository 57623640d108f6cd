package reports

import "slices"

// columnGap is the space between two columns of a terminal table, in columns.
const columnGap = 2

// textCell is a cell before it is wrapped: paragraphs, each from a line of its
// own.
type textCell []paragraph

type paragraph struct {
	units []unit
	sep   string // between units on one line
	style string // for the printer
}

func (p paragraph) lines(w int) []string { return wrap(p.units, w, p.sep) }

// widest is the width of the widest line when wrapped at w.
func (c textCell) widest(w int) int {
	most := 0
	for _, p := range c {
		for _, l := range p.lines(w) {
			most = max(most, width(l))
		}
	}
	return most
}

// layout finds widths for columns of cells so that a table fits into total
// columns. ok is false where even the narrowest does not fit.
func layout(columns [][]textCell, total int) (widths []int, ok bool) {
	const unbounded = 1 << 20
	at := func(col []textCell, w int) int {
		most := 0
		for _, c := range col {
			most = max(most, c.widest(w))
		}
		return most
	}
	widths = make([]int, len(columns))
	floor := make([]int, len(columns))
	for i, col := range columns {
		widths[i] = at(col, unbounded)
		floor[i] = at(col, 1)
	}
	for {
		sum := columnGap * (len(columns) - 1)
		for _, w := range widths {
			sum += w
		}
		if sum <= total {
			return widths, true
		}
		// The widest column that can give way does.
		give := -1
		for i, w := range widths {
			if w > floor[i] && (give < 0 || w > widths[give]) {
				give = i
			}
		}
		if give < 0 {
			return widths, false
		}
		widths[give] = at(columns[give], widths[give]-1)
	}
}

// fit splits columns into as few tables as fit into total columns; the first
// column comes again in each. Where a single column does not fit, its table is
// too wide: numbers are never cut. It returns the column numbers and widths of
// every table.
func fit(columns [][]textCell, total int) (tables [][]int, widths [][]int) {
	pick := func(numbers []int) ([]int, bool) {
		var cols [][]textCell
		for _, n := range numbers {
			cols = append(cols, columns[n])
		}
		return layout(cols, total)
	}
	rest := len(columns) - 1
	for parts := 1; ; parts++ {
		tables, widths = nil, nil
		allFit := true
		per := (rest + parts - 1) / max(parts, 1)
		var numbers []int
		for n := range rest {
			numbers = append(numbers, n+1)
		}
		for chunk := range slices.Chunk(numbers, max(per, 1)) {
			chunk = append([]int{0}, chunk...)
			w, ok := pick(chunk)
			allFit = allFit && ok
			tables = append(tables, chunk)
			widths = append(widths, w)
		}
		if allFit || parts >= rest {
			return tables, widths
		}
	}
}
