package reports

import "slices"

// unbounded is wider than any line, in columns.
const unbounded = 1 << 20

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
	at := func(col []textCell, w int) int {
		most := 0
		for _, c := range col {
			most = max(most, c.widest(w))
		}
		return most
	}
	needed := func() int {
		sum := columnGap * (len(columns) - 1)
		for _, w := range widths {
			sum += w
		}
		return sum
	}
	widths = make([]int, len(columns))
	floor := make([]int, len(columns))
	for i, col := range columns {
		widths[i] = at(col, unbounded)
		floor[i] = at(col, 1)
	}
	for {
		if needed() <= total {
			tighten(columns, widths)
			// What that leaves goes to the names.
			widths[0] = at(columns[0], widths[0]+total-needed())
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

// tighten narrows columns, the first excepted, where that makes no row higher
// and breaks no unit: numbers then stand in the same line of every cell.
func tighten(columns [][]textCell, widths []int) {
	height := make([]int, len(columns[0]))
	for i, col := range columns {
		for r, c := range col {
			height[r] = max(height[r], c.height(widths[i]))
		}
	}
	for i, col := range columns {
		if i == 0 {
			continue
		}
		floor := 1
		for _, c := range col {
			for _, p := range c {
				for _, u := range p.units {
					floor = max(floor, width(u.String()))
				}
			}
		}
		for w := widths[i] - 1; w >= floor && fitsBelow(col, w, height); w-- {
			widths[i] = w
		}
	}
}

// fitsBelow says whether no cell wrapped at w is higher than its row.
func fitsBelow(col []textCell, w int, height []int) bool {
	for r, c := range col {
		if c.height(w) > height[r] {
			return false
		}
	}
	return true
}

// height is the number of lines when wrapped at w.
func (c textCell) height(w int) int {
	n := 0
	for _, p := range c {
		n += len(p.lines(w))
	}
	return n
}
