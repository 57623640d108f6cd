package matrix

import (
	"fmt"
	"strings"
)

// Problem is one mistake in a matrix file.
type Problem struct {
	Line int    // 1-based; 0 where no line can be named
	Path string // kernels[2].debian.suite
	What string // what is wrong and what to do
}

// Problems are all mistakes of one file.
type Problems []Problem

// ParseError carries every problem of a matrix file; nothing was started.
type ParseError struct {
	File     string
	Problems Problems
}

// Error is one line per problem: FILE:LINE: PATH: WHAT. A line or path that
// cannot be named is left out.
func (e *ParseError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		var b strings.Builder
		b.WriteString(e.File)
		if p.Line > 0 {
			fmt.Fprintf(&b, ":%d", p.Line)
		}
		if p.Path != "" {
			b.WriteString(": " + p.Path)
		}
		lines[i] = b.String() + ": " + p.What
	}
	return strings.Join(lines, "\n")
}
