package cli

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kqual/internal/atomicfile"
	"kqual/reports"
)

// output is one -o FORMAT=FILE.
type output struct {
	format reports.Format
	path   string // - is standard output
	// logs is the directory of a saved report's console logs; "" where the report
	// was just made, so that the paths in it are right as they are.
	logs string
	wide bool // see reports.Options
}

const outputHelp = "also write the report as `FORMAT=FILE` (- is standard output); repeatable"

// parseOutputs reads the values of -o. made is a directory that there will be;
// it may be "".
func parseOutputs(values []string, made string) ([]output, error) {
	var out []output
	for _, v := range values {
		name, path, ok := strings.Cut(v, "=")
		if !ok || path == "" {
			return nil, usage(fmt.Errorf("-o %s: write FORMAT=FILE; formats are %s", v, strings.Join(reports.FormatNames(), ", ")))
		}
		f, err := reports.LookupFormat(name)
		if err != nil {
			return nil, usage(fmt.Errorf("-o %s: %w", v, err))
		}
		if dir := filepath.Dir(path); path != "-" && !isDir(dir) && (made == "" || dir != filepath.Clean(made)) {
			return nil, usage(fmt.Errorf("-o %s: the directory %s does not exist", v, dir))
		}
		out = append(out, output{format: f, path: path})
	}
	return out, nil
}

const wideHelp = "fold no line of the terminal format to the width of the terminal; names in full"

// checkWide refuses --wide where nothing could be wide.
func checkWide(wide bool, outputs []output) error {
	if wide && !slices.ContainsFunc(outputs, func(o output) bool { return o.format.Name == "terminal" }) {
		return usage(errors.New("--wide: only the terminal format folds lines; ask for it with -o terminal=FILE, or leave --wide out"))
	}
	return nil
}

// write renders r to the output's file, which appears whole or not at all.
func (o output) write(stdout io.Writer, r *reports.Report) error {
	if o.path == "-" {
		opts := looks(stdout)
		opts.Tail, opts.Wide = o.tail, o.wide // and no links: nobody knows where it goes
		return o.format.Render(stdout, r, opts)
	}
	return atomicfile.WriteTo(o.path, func(w io.Writer) error {
		return o.format.Render(w, r, reports.Options{Width: reports.DefaultWidth, Wide: o.wide, Tail: o.tail, Link: o.link})
	})
}

// What a report shows of a console's end.
const (
	shownBytes = 16 << 10
	shownLines = 40
)

// find is where a log lies. A saved report may come from anybody: only the logs
// beside it are looked at, whatever path it names.
func (o output) find(log string) string {
	if o.logs != "" {
		return filepath.Join(o.logs, filepath.Base(log))
	}
	return log
}

// link is reports.Options.Link.
func (o output) link(log string) string {
	log = o.find(log)
	if st, err := os.Stat(log); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	from, err := filepath.Abs(filepath.Dir(o.path))
	if err != nil {
		return ""
	}
	to, err := filepath.Abs(log)
	if err != nil {
		return ""
	}
	rel, err := filepath.Rel(from, to)
	if err != nil {
		return ""
	}
	return (&url.URL{Path: filepath.ToSlash(rel)}).String()
}

// tail is reports.Options.Tail.
func (o output) tail(log string) string {
	f, err := os.Open(o.find(log))
	if err != nil {
		return ""
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return ""
	} else if st.Size() > shownBytes {
		if _, err := f.Seek(-shownBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	data, err := io.ReadAll(io.LimitReader(f, shownBytes))
	if err != nil {
		return ""
	}
	lines := strings.SplitAfter(string(data), "\n")
	return strings.Join(lines[max(0, len(lines)-shownLines-1):], "")
}
