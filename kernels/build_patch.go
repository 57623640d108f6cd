package kernels

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"kqual/matrix"
)

// patch brings the tree to the source with exactly these patches, whatever it
// had before. A file is written only where its text changes, so make compiles
// no more than it must.
func (t *tree) patch(ctx context.Context, patches []recipe) error {
	named := map[string]bool{}
	for _, p := range patches {
		files := patchedFiles(p.body)
		if len(files) == 0 {
			return patchFailure(p, t.source, "it is no unified diff", "write it with diff -u or git format-patch")
		}
		for _, name := range files {
			if !filepath.IsLocal(name) {
				return patchFailure(p, t.source, fmt.Sprintf("it touches %q, outside the tree", name), "correct the path in the patch")
			}
			if err := t.keep(name); err != nil {
				return err
			}
			named[name] = true
		}
	}
	// The patched texts are made aside, from the pristine files: a patch that
	// does not apply leaves the tree as it is.
	stage := filepath.Join(t.dir, "stage")
	if err := os.RemoveAll(stage); err != nil {
		return err
	}
	defer os.RemoveAll(stage)
	if err := os.MkdirAll(stage, 0o755); err != nil {
		return err
	}
	for name := range named {
		c, err := readFile(filepath.Join(t.pristine(), name))
		if err == nil {
			err = c.write(filepath.Join(stage, name))
		}
		if err != nil {
			return err
		}
	}
	for _, p := range patches {
		file := filepath.Join(t.dir, "current.patch")
		if err := os.WriteFile(file, []byte(p.body), 0o644); err != nil {
			return err
		}
		err := t.runIn(ctx, stage, "patch", "-p1", "--fuzz=0", "--batch", "--forward", "--no-backup-if-mismatch", "-i", file)
		var c *commandError
		if errors.As(err, &c) && c.program == "patch" {
			return patchFailure(p, t.source, rejects(string(c.output)), "see the header of the patch for the source it is made for")
		}
		if err != nil {
			return err
		}
	}
	touched, err := t.touched()
	if err != nil {
		return err
	}
	for _, name := range touched {
		from := t.pristine()
		if named[name] {
			from = stage
		}
		want, err := readFile(filepath.Join(from, name))
		if err != nil {
			return err
		}
		have, err := readFile(filepath.Join(t.src(), name))
		if err != nil {
			return err
		}
		if !have.equal(want) {
			if err := want.write(filepath.Join(t.src(), name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func patchFailure(p recipe, o *origin, why, hint string) error {
	return &matrix.Failure{
		Side: matrix.SideKernel, Reason: fmt.Sprintf("patch %s does not apply to %s: %s", p.name, o.what, why), Hint: hint,
	}
}

// Lines of patch(1) in the C locale.
var (
	patchingFile = regexp.MustCompile(`^(?:patching|checking) file '?([^']+?)'?(?: \(.*\))?$`)
	failedHunk   = regexp.MustCompile(`^Hunk #(\d+) FAILED at (\d+)`)
	missingFile  = regexp.MustCompile(`^can't find file to patch`)
	wantedFor    = regexp.MustCompile(`^\|\+\+\+ (?:[^/\s]+/)?(\S+)`)
	alreadyThere = regexp.MustCompile(`^The next patch would (create|delete) the file '?([^',]+)'?,`)
	reversed     = regexp.MustCompile(`^Reversed \(or previously applied\) patch detected`)
)

// rejects tells from the output of patch(1) which files and hunks did not fit.
func rejects(output string) string {
	var found []string
	file, missing := "", false
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if m := patchingFile.FindStringSubmatch(line); m != nil {
			file = m[1]
		} else if m := failedHunk.FindStringSubmatch(line); m != nil {
			add("%s: hunk %s at line %s", file, m[1], m[2])
		} else if m := alreadyThere.FindStringSubmatch(line); m != nil {
			if m[1] == "create" {
				add("%s: it exists already", m[2])
			} else {
				add("%s: there is none to delete", m[2])
			}
		} else if reversed.MatchString(line) {
			add("%s: the change is there already", file)
		} else if missingFile.MatchString(line) {
			missing = true
		} else if m := wantedFor.FindStringSubmatch(line); missing && m != nil {
			add("%s: no such file", m[1])
			missing = false
		}
	}
	if len(found) == 0 {
		lines := strings.Split(strings.TrimSpace(output), "\n")
		return strings.TrimSpace(lines[len(lines)-1])
	}
	return strings.Join(slices.Compact(found), "; ")
}

// Headers of a unified diff that name a file, with or without git's additions.
var (
	diffHeader   = regexp.MustCompile(`^(?:---|\+\+\+) [^/\s]+/(\S[^\t\r]*)`)
	gitHeader    = regexp.MustCompile(`^diff --git a/(\S+) b/(\S+)$`)
	renameHeader = regexp.MustCompile(`^(?:rename|copy) (?:from|to) (.+)$`)
	hunkHeader   = regexp.MustCompile(`^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@`)
)

// patchedFiles lists the files that a unified diff (-p1) names, each once. What
// stands inside of hunks is passed over: a removed line may look like a header.
func patchedFiles(body string) []string {
	var files []string
	add := func(names ...string) {
		for _, n := range names {
			if n = strings.TrimSpace(n); !slices.Contains(files, n) {
				files = append(files, n)
			}
		}
	}
	before, after := 0, 0 // lines that the hunk still has, of the old and of the new text
	for line := range strings.Lines(body) {
		line = strings.TrimRight(line, "\n")
		if before > 0 || after > 0 {
			switch {
			case strings.HasPrefix(line, "-"):
				before--
			case strings.HasPrefix(line, "+"):
				after--
			case strings.HasPrefix(line, `\`):
			default:
				before, after = before-1, after-1
			}
			continue
		}
		if m := hunkHeader.FindStringSubmatch(line); m != nil {
			before, after = hunkLines(m[1]), hunkLines(m[2])
		} else if m := diffHeader.FindStringSubmatch(line); m != nil && !strings.Contains(line, " /dev/null") {
			add(m[1])
		} else if m := gitHeader.FindStringSubmatch(line); m != nil {
			add(m[1], m[2])
		} else if m := renameHeader.FindStringSubmatch(line); m != nil {
			add(m[1])
		}
	}
	return files
}

// hunkLines reads a length in a hunk's header; none means 1.
func hunkLines(s string) int {
	n := 1
	if s != "" {
		fmt.Sscan(s, &n)
	}
	return n
}

// absentMark ends the name of a mark beside the pristine files: the source has
// no such file.
const absentMark = ".kqual-absent"

// keep saves the pristine text of a file before it is touched for the first
// time.
func (t *tree) keep(name string) error {
	kept := filepath.Join(t.pristine(), name)
	for _, path := range []string{kept, kept + absentMark} {
		if _, err := os.Lstat(path); err == nil {
			return nil
		}
	}
	if info, err := os.Lstat(filepath.Join(t.src(), name)); err == nil && !info.Mode().IsRegular() {
		return &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("a patch touches %s, which is no file in %s", name, t.source.what),
			Hint: "patch what the link leads to",
		}
	}
	c, err := readFile(filepath.Join(t.src(), name))
	if err != nil {
		return err
	}
	if !c.there {
		return content{there: true, mode: 0o644}.write(kept + absentMark)
	}
	return c.write(kept)
}

// touched lists the files that patches touched at any time, sorted.
func (t *tree) touched() ([]string, error) {
	var names []string
	err := filepath.WalkDir(t.pristine(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(t.pristine(), path)
		names = append(names, strings.TrimSuffix(name, absentMark))
		return err
	})
	slices.Sort(names)
	return names, err
}

// content is what a file holds, or that there is none.
type content struct {
	there bool
	mode  fs.FileMode
	data  []byte
}

func readFile(path string) (content, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return content{}, nil
	}
	if err != nil {
		return content{}, err
	}
	data, err := os.ReadFile(path)
	return content{true, info.Mode().Perm(), data}, err
}

func (c content) equal(d content) bool {
	return c.there == d.there && c.mode == d.mode && string(c.data) == string(d.data)
}

// write brings a file to c. Its time is that of a finer clock than the file
// system's, so it is later than that of everything made before.
func (c content) write(path string) error {
	if !c.there {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tmp := path + ".kqual-new"
	if err := os.WriteFile(tmp, c.data, c.mode); err != nil {
		return err
	}
	if err := os.Chmod(tmp, c.mode); err != nil {
		return err
	}
	now := time.Now()
	if err := os.Chtimes(tmp, now, now); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}
