package matrix

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Version is a kernel's version, from a package (5.10.223-1, 6.16.3-1~bpo13+1,
// 7.3~rc7-1~exp1), a release (6.12.43+deb13-cloud-amd64) or a tag (v7.3-rc7).
type Version struct {
	text    string
	epoch   string   // digits, "" for none
	numbers []string // 5, 10, 223
	rc      string   // digits; "" for a release
	local   string   // what follows, up to the last '-': +deb13-cloud
	rev     string   // what follows the last '-': 1~bpo13+1
}

var versionPattern = regexp.MustCompile(`^v?(?:([0-9]+):)?([0-9]+(?:\.[0-9]+)*)(?:[-~.]?rc([0-9]+))?((?:[A-Za-z0-9.+~_-][A-Za-z0-9.+~:_-]*)?)$`)

// maxVersion bounds what ParseVersion reads, in bytes.
const maxVersion = 256

// ParseVersion reads a kernel version. It must begin with a number, after an
// optional v and an optional epoch (1:).
func ParseVersion(s string) (Version, error) {
	if len(s) > maxVersion {
		return Version{}, fmt.Errorf("parse kernel version: %q is longer than %d characters", shorten(s), maxVersion)
	}
	m := versionPattern.FindStringSubmatch(s)
	if m == nil {
		return Version{}, fmt.Errorf("parse kernel version: %q is none; write one such as 6.1.140-1 or 7.3-rc7", s)
	}
	v := Version{text: s, epoch: m[1], numbers: strings.Split(m[2], "."), rc: m[3], local: m[4]}
	// As in Debian, the revision begins after the last hyphen.
	if i := strings.LastIndexByte(v.local, '-'); i >= 0 {
		v.local, v.rev = v.local[:i], v.local[i+1:]
	}
	return v, nil
}

// String is the version as it was written.
func (v Version) String() string { return v.text }

// Series is the first two numbers: 5.10 of 5.10.223-1.
func (v Version) Series() string {
	return strings.Join(v.numbers[:min(2, len(v.numbers))], ".")
}

// Upstream is the version without what a distribution adds: 5.10.223 of
// 5.10.223-1, 7.3-rc7 of 7.3~rc7-1~exp1.
func (v Version) Upstream() string {
	s := strings.Join(v.numbers, ".")
	if v.rc != "" {
		s += "-rc" + v.rc
	}
	return s
}

// Compare is negative where v is older than w, positive where it is newer, and
// 0 where the spelling alone differs (7.3-rc7 and 7.3~rc7, 5.10 and 5.10.0).
// Release candidates come before their release. The zero Version comes first.
//
// The order is epoch, numbers, release candidate, then what distributions
// append, compared as Debian does (deb-version(7)): ~ comes before the end.
func (v Version) Compare(w Version) int {
	if c := compareDigits(v.epoch, w.epoch); c != 0 {
		return c
	}
	if c := cmp.Compare(min(1, len(v.numbers)), min(1, len(w.numbers))); c != 0 {
		return c
	}
	for i := range max(len(v.numbers), len(w.numbers)) {
		if c := compareDigits(at0(v.numbers, i), at0(w.numbers, i)); c != 0 {
			return c
		}
	}
	switch {
	case v.rc == "" && w.rc != "":
		return 1
	case v.rc != "" && w.rc == "":
		return -1
	}
	return cmp.Or(compareDigits(v.rc, w.rc), compareDebian(v.local, w.local), compareDebian(v.rev, w.rev))
}

func at0(s []string, i int) string {
	if i < len(s) {
		return s[i]
	}
	return ""
}

// compareDigits compares decimal numbers of any length; "" is 0.
func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b))
}

// compareDebian compares a part of a version as deb-version(7) says: runs of
// other characters and runs of digits take turns; letters come before the
// rest, and ~ before everything, the end included.
func compareDebian(a, b string) int {
	for a != "" || b != "" {
		var x, y string
		x, a = cutRun(a, false)
		y, b = cutRun(b, false)
		for i := range max(len(x), len(y)) {
			if c := cmp.Compare(debianWeight(x, i), debianWeight(y, i)); c != 0 {
				return c
			}
		}
		x, a = cutRun(a, true)
		y, b = cutRun(b, true)
		if c := compareDigits(x, y); c != 0 {
			return c
		}
	}
	return 0
}

// cutRun cuts the longest beginning of s that is made of digits, or of
// anything else.
func cutRun(s string, digits bool) (run, rest string) {
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9') == digits {
		i++
	}
	return s[:i], s[i:]
}

func debianWeight(s string, i int) int {
	if i >= len(s) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return int(c)
	default:
		return int(c) + 256
	}
}
