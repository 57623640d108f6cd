package matrix

import (
	"fmt"
	"slices"
	"strings"
)

// Selection narrows a matrix to some of its cells. The zero value selects all.
type Selection struct {
	only []clause // a cell must match one of them, if there are any
	skip []clause // and none of these
}

// clause is what one --only or --skip says: patterns per key, all keys must
// match, any of a key's patterns is enough.
type clause struct {
	text     string // as the user wrote it
	patterns map[string][]string
}

// The keys of a clause, in the order of a cell's ID.
const (
	keyKernel     = "kernel"
	keyFilesystem = "filesystem"
	keyScenario   = "scenario"
	keyWatch      = "watch"
)

var selectionKeys = []string{keyKernel, keyFilesystem, "fs", keyScenario, keyWatch}

// ParseSelection reads the values of --only and --skip. Each is a list of
// KEY=PATTERN, separated by commas; all of them must match. A key may name
// several patterns, separated by | or by repeating the key. Several --only
// widen the selection. Keys are kernel, filesystem (or fs), scenario and watch;
// patterns are globs in which * matches anything and ? one character.
func ParseSelection(only, skip []string) (Selection, error) {
	var s Selection
	var err error
	if s.only, err = parseClauses("--only", only); err != nil {
		return Selection{}, err
	}
	if s.skip, err = parseClauses("--skip", skip); err != nil {
		return Selection{}, err
	}
	return s, nil
}

func parseClauses(option string, values []string) ([]clause, error) {
	var out []clause
	for _, value := range values {
		c := clause{text: option + " " + value, patterns: map[string][]string{}}
		for part := range strings.SplitSeq(value, ",") {
			key, list, ok := strings.Cut(part, "=")
			key = strings.TrimSpace(key)
			if !ok {
				return nil, fmt.Errorf("%s: %q has no pattern; write KEY=PATTERN such as kernel=6.*", c.text, strings.TrimSpace(part))
			}
			if !slices.Contains(selectionKeys, key) {
				return nil, fmt.Errorf("%s: %s", c.text, unknown("key", key, selectionKeys))
			}
			if key == "fs" {
				key = keyFilesystem
			}
			for pattern := range strings.SplitSeq(list, "|") {
				pattern = strings.TrimSpace(pattern)
				if pattern == "" {
					return nil, fmt.Errorf("%s: %s has an empty pattern; write * to match everything", c.text, key)
				}
				c.patterns[key] = append(c.patterns[key], pattern)
			}
		}
		out = append(out, c)
	}
	return out, nil
}

// Selects says whether the cell is in the selection.
func (s Selection) Selects(c Cell) bool {
	match := func(cl clause) bool { return cl.matches(c) }
	return (len(s.only) == 0 || slices.ContainsFunc(s.only, match)) && !slices.ContainsFunc(s.skip, match)
}

func (cl clause) matches(c Cell) bool {
	return matchAny(cl.patterns[keyKernel], c.Kernel) && matchAny(cl.patterns[keyFilesystem], c.Filesystem) &&
		matchAny(cl.patterns[keyScenario], c.Scenario) && matchAny(cl.patterns[keyWatch], c.Watch.Name)
}

// stray returns one line for every pattern of the selection that matches no
// name of the matrix.
func (s Selection) stray(spec *Spec) []string {
	known := map[string][]string{keyFilesystem: spec.Filesystems, keyScenario: spec.Scenarios}
	for _, k := range spec.Kernels {
		known[keyKernel] = append(known[keyKernel], k.Name)
	}
	for _, w := range spec.Watches {
		known[keyWatch] = append(known[keyWatch], w.Name)
	}
	var out []string
	for _, cl := range slices.Concat(s.only, s.skip) {
		for _, key := range selectionKeys {
			for _, pattern := range cl.patterns[key] {
				if !slices.ContainsFunc(known[key], func(n string) bool { return matchGlob(pattern, n) }) {
					out = append(out, cl.text+": "+noMatch(key, pattern, known[key]))
				}
			}
		}
	}
	return out
}
