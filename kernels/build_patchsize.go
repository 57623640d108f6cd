package kernels

import (
	"path/filepath"
	"strings"

	"kqual/matrix"
)

// size counts what a patch changes: the lines that its hunks add and remove.
func (r recipe) size() matrix.Patch {
	p := matrix.Patch{Name: strings.TrimSuffix(filepath.Base(r.name), patchFiles.ext), Files: len(patchedFiles(r.body))}
	before, after := 0, 0 // lines that the hunk still has, of the old and of the new text
	for line := range strings.Lines(r.body) {
		switch {
		case before <= 0 && after <= 0:
			if m := hunkHeader.FindStringSubmatch(line); m != nil {
				before, after = hunkLines(m[1]), hunkLines(m[2])
			}
		case strings.HasPrefix(line, "-"):
			p.Removed++
			before--
		case strings.HasPrefix(line, "+"):
			p.Added++
			after--
		case !strings.HasPrefix(line, `\`):
			before, after = before-1, after-1
		}
	}
	return p
}
