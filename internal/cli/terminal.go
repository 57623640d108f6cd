package cli

import (
	"io"
	"os"
	"strconv"

	"golang.org/x/term"

	"kqual/reports"
)

// isTerminal says whether w is a terminal that people look at.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// looks are the options for a rendering that goes to w. NO_COLOR is described
// at https://no-color.org; COLUMNS overrides the terminal's width.
func looks(w io.Writer) reports.Options {
	o := reports.Options{Width: reports.DefaultWidth}
	if isTerminal(w) {
		o.Color = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
		if width, _, err := term.GetSize(int(w.(*os.File).Fd())); err == nil && width > 0 {
			o.Width = width
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); err == nil && n > 0 {
		o.Width = n
	}
	return o
}
