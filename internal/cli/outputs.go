package cli

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"kqual/internal/atomicfile"
	"kqual/reports"
)

// output is one -o FORMAT=FILE.
type output struct {
	format reports.Format
	path   string // - is standard output
}

const outputHelp = "also write the report as `FORMAT=FILE` (- is standard output); repeatable"

// parseOutputs reads the values of -o.
func parseOutputs(values []string) ([]output, error) {
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
		if path != "-" && !isDir(filepath.Dir(path)) {
			return nil, usage(fmt.Errorf("-o %s: the directory %s does not exist", v, filepath.Dir(path)))
		}
		out = append(out, output{f, path})
	}
	return out, nil
}

// write renders r to the output's file, which appears whole or not at all.
func (o output) write(stdout io.Writer, r *reports.Report) error {
	if o.path == "-" {
		return o.format.Render(stdout, r, looks(stdout))
	}
	var b bytes.Buffer
	if err := o.format.Render(&b, r, reports.Options{Width: reports.DefaultWidth}); err != nil {
		return err
	}
	return atomicfile.Write(o.path, b.Bytes())
}
