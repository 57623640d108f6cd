package matrix

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// matchGlob says whether the whole of name matches pattern: * is any run of
// characters ('/' and '+' among them), ? is any one, [a-c] and [^a-c] are
// classes, \ takes the next character as it is. A bracket that is never closed
// stands for itself, and a pattern always matches the name that is spelled the
// same, so every string is a valid pattern.
func matchGlob(pattern, name string) bool {
	if pattern == name {
		return true
	}
	p, n := pattern, name
	var starP, starN string // where to go on after the last *
	starred := false
	for {
		if rest, ok := strings.CutPrefix(p, "*"); ok {
			p, starP, starN, starred = rest, rest, n, true
			continue
		}
		if n == "" && p == "" {
			return true
		}
		if n != "" && p != "" {
			if restP, restN, ok := matchOne(p, n); ok {
				p, n = restP, restN
				continue
			}
		}
		if !starred || starN == "" {
			return false
		}
		_, size := utf8.DecodeRuneInString(starN)
		starN = starN[size:]
		p, n = starP, starN
	}
}

// matchOne matches one character of name; both are not empty and pattern does
// not begin with *.
func matchOne(pattern, name string) (restPattern, restName string, ok bool) {
	r, size := utf8.DecodeRuneInString(name)
	restName = name[size:]
	switch pattern[0] {
	case '?':
		return pattern[1:], restName, true
	case '[':
		if in, rest, closed := matchClass(pattern[1:], r); closed {
			return rest, restName, in
		}
	case '\\':
		if len(pattern) > 1 {
			pattern = pattern[1:]
		}
	}
	p, psize := utf8.DecodeRuneInString(pattern)
	return pattern[psize:], restName, p == r && psize == size
}

// matchClass matches r against the class that begins after '['. closed is
// false where no ']' ends it.
func matchClass(class string, r rune) (in bool, rest string, closed bool) {
	runes := []rune(class)
	i := 0
	negated := len(runes) > 0 && (runes[0] == '^' || runes[0] == '!')
	if negated {
		i++
	}
	for first := i; i < len(runes); i++ {
		if runes[i] == ']' && i > first {
			return in != negated, string(runes[i+1:]), true
		}
		lo, hi := runes[i], runes[i]
		if i+2 < len(runes) && runes[i+1] == '-' && runes[i+2] != ']' {
			hi = runes[i+2]
			i += 2
		}
		in = in || lo <= r && r <= hi
	}
	return false, "", false
}

// matchAny says whether one of the patterns matches; no pattern matches all.
func matchAny(patterns []string, name string) bool {
	return len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return matchGlob(p, name) })
}
