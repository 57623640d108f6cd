package kernels

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"pault.ag/go/debian/version"

	"kqual/matrix"
)

// What an entry keeps of the kernels that it stands for.
const (
	trackLatest = "latest" // the newest
	trackSeries = "series" // the newest of every series: 6.1, 6.12
)

// several says whether c can stand for more than one kernel.
func (c DebianConfig) several() bool {
	return c.Track != trackLatest && (isGlob(c.Package) || c.Versions != "")
}

func isGlob(name string) bool { return strings.ContainsAny(name, "*?") }

// expanded is config for one of the kernels that it stood for when it was locked.
func (debianSource) expanded(config any, pin *Pin) any {
	c := config.(DebianConfig)
	return c.only(pin.Files[0].Name, pin.Files[0].Version)
}

// only is c for one package and version.
func (c DebianConfig) only(name, version string) DebianConfig {
	c.Package, c.Version, c.Versions, c.Track = name, version, "", ""
	return c
}

func (debianSource) several(config any) bool { return config.(DebianConfig).several() }

// expand lists the packages that match, oldest first. Two packages of one
// version (two flavours) are told apart by their names.
func (debianSource) expand(ctx context.Context, env Env, config any) ([]Variant, error) {
	c := config.(DebianConfig)
	list, _, err := c.packages(ctx, env)
	if err != nil {
		return nil, err
	}
	found, err := matching(list, c)
	if err != nil {
		return nil, err
	}
	if c.Track == trackSeries {
		if found = newestOfSeries(env, list, found, c.Suite); len(found) == 0 {
			return nil, &matrix.Failure{
				Side: matrix.SideKernel, Reason: fmt.Sprintf("suite %s has no kernel for %s with all of its parts", c.Suite, c.pattern()),
				Hint: "name a snapshot archive as mirror:",
			}
		}
	}
	count := map[string]int{}
	for _, p := range found {
		count[p.Version]++
	}
	variants := make([]Variant, len(found))
	for i, p := range found {
		variants[i] = Variant{Suffix: p.Version, Config: c.only(p.Name, p.Version)}
		switch {
		case c.Track == trackSeries: // the name stays when the next of the series comes
			variants[i].Suffix = series(p)
		case count[p.Version] > 1:
			variants[i].Suffix = strings.TrimPrefix(p.Name, "linux-image-") + "-" + p.Version
		}
	}
	return variants, nil
}

// single is c with the one package and version that it stands for. What can
// stand for several has been expanded before, unless that failed.
func (c DebianConfig) single(list []PackageInfo) (DebianConfig, error) {
	if !isGlob(c.Package) && c.Versions == "" {
		return c, nil
	}
	found, err := matching(list, c)
	if err != nil {
		return c, err
	}
	if len(found) > 1 && c.Track != trackLatest {
		return c, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("suite %s has %d kernels for %s, and one is wanted here", c.Suite, len(found), c.pattern()),
			Hint: "narrow versions: in the matrix, or take the newest (debian: {track: latest})",
		}
	}
	p := found[len(found)-1]
	return c.only(p.Name, p.Version), nil
}

// debugPackages match a pattern by accident: they hold symbols, no kernel.
var debugPackages = []string{"-dbg", "-dbgsym"}

// matching lists the packages that c's pattern and range take in, oldest
// first, each version of a package once.
func matching(list []PackageInfo, c DebianConfig) ([]PackageInfo, error) {
	constraints, err := parseVersions(c.Versions)
	if err != nil {
		return nil, err
	}
	var found []PackageInfo
	for _, p := range list {
		ok, err := path.Match(c.Package, p.Name)
		if err != nil {
			return nil, fmt.Errorf("match %q: %w", c.Package, err)
		}
		debug := slices.ContainsFunc(debugPackages, func(end string) bool { return strings.HasSuffix(p.Name, end) })
		if !ok || debug || c.Version != "" && p.Version != c.Version {
			continue
		}
		if slices.ContainsFunc(constraints, func(v constraint) bool { return !v.holds(p.Version) }) {
			continue
		}
		found = append(found, p)
	}
	if len(found) == 0 {
		return nil, &matrix.Failure{
			Side: matrix.SideKernel, Reason: fmt.Sprintf("suite %s has no kernel for %s", c.Suite, c.pattern()),
			Hint: "correct package: or versions: in the matrix, or name a snapshot archive as mirror:",
		}
	}
	slices.SortStableFunc(found, func(a, b PackageInfo) int {
		return cmp.Or(compareDebian(a.Version, b.Version), cmp.Compare(a.Name, b.Name))
	})
	return slices.CompactFunc(found, func(a, b PackageInfo) bool { return a.Name == b.Name && a.Version == b.Version }), nil
}

// newestOfSeries keeps the newest of every series of which the suite has all
// parts; archives keep images of past series without their modules. What is
// missing of a series that has no such kernel is said.
func newestOfSeries(env Env, list, found []PackageInfo, suite string) []PackageInfo {
	var newest []PackageInfo
	var why error // the newest kernel of the series is not whole
	for i := len(found) - 1; i >= 0; i-- {
		p := found[i]
		if n := len(newest); n > 0 && series(newest[n-1]) == series(p) {
			continue
		}
		_, err := resolveKernel(list, p.Name, p.Version, suite)
		if err == nil {
			newest, why = append(newest, p), nil
			continue
		}
		if why == nil {
			why = err
		}
		if i == 0 || series(found[i-1]) != series(p) {
			env.Progress(Event{Kernel: env.Kernel, Notice: true, End: true, Step: fmt.Sprintf("series %s is left out: %v", series(p), why)})
			why = nil
		}
	}
	slices.Reverse(newest)
	return newest
}

// series is the first two numbers of a kernel's version: 6.12.
func series(p PackageInfo) string {
	v, err := matrix.ParseVersion(p.Version)
	if err != nil {
		return p.Version
	}
	return v.Series()
}

// pattern is what c asks for, for people.
func (c DebianConfig) pattern() string {
	if c.Versions == "" {
		return c.Package
	}
	return c.Package + " " + c.Versions
}

// constraint is one bound of a range of versions.
type constraint struct {
	op      string
	version string
}

// constraintOps are tried in this order: the longer of two that begin alike
// comes first.
var constraintOps = []string{">=", "<=", ">", "<", "="}

// parseVersions reads bounds separated by spaces, all of which must hold:
// ">=6.1 <6.2". They are compared as dpkg compares versions, so 6.2~rc1 is
// below 6.2.
func parseVersions(s string) ([]constraint, error) {
	var out []constraint
	for _, word := range strings.Fields(s) {
		i := slices.IndexFunc(constraintOps, func(op string) bool { return strings.HasPrefix(word, op) })
		if i < 0 {
			return nil, fmt.Errorf("%q has no comparison; write a range such as \">=6.1 <6.2\"", word)
		}
		c := constraint{op: constraintOps[i], version: strings.TrimPrefix(word, constraintOps[i])}
		if _, err := version.Parse(c.version); err != nil {
			return nil, fmt.Errorf("%q is no version; write a range such as \">=6.1 <6.2\"", word)
		}
		out = append(out, c)
	}
	return out, nil
}

func (c constraint) holds(v string) bool {
	n := compareDebian(v, c.version)
	switch c.op {
	case ">=":
		return n >= 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	case "<":
		return n < 0
	}
	return n == 0
}
