package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"

	"kqual/matrix"
)

// Options adapt a rendering to where it is read.
type Options struct {
	Color bool // ANSI colours
	Width int  // columns; 0 means DefaultWidth
	// Wide folds nothing: every row of a table and every sentence is one line,
	// whatever Width is.
	Wide bool
	// Tail returns the end of the log that a report names, or "" where there is
	// none any more. It may be nil.
	Tail func(log string) string
	// Link returns an escaped URL of the log that a report names, relative to
	// where the rendering is written, or "" where none can be given. It may be
	// nil.
	Link func(log string) string
}

// DefaultWidth is the width of a rendering that nobody has given a width, in
// terminal columns.
const DefaultWidth = 120

// Format renders a report.
type Format struct {
	Name   string
	Doc    string // one line for users
	Binary bool   // what it writes is no text
	Render func(w io.Writer, r *Report, o Options) error
}

var formats []Format

func register(f Format) { formats = append(formats, f) }

// Formats lists the registered formats by name.
func Formats() []Format {
	out := slices.Clone(formats)
	slices.SortFunc(out, func(a, b Format) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// FormatNames lists the names of the registered formats.
func FormatNames() []string {
	var names []string
	for _, f := range Formats() {
		names = append(names, f.Name)
	}
	return names
}

// LookupFormat returns the registered format of that name.
func LookupFormat(name string) (Format, error) {
	for _, f := range formats {
		if f.Name == name {
			return f, nil
		}
	}
	return Format{}, fmt.Errorf("unknown format %q; %s", name, matrix.DidYouMean(name, FormatNames()))
}
