package matrix

import (
	"fmt"
	"reflect"
	"slices"
)

var typeRuleKeys = reflect.TypeFor[fileRuleKeys]()

func reflectOf(p any) reflect.Value { return reflect.ValueOf(p).Elem() }

// VerdictKinds lists the verdicts, the firm ones first.
func VerdictKinds() []VerdictKind {
	return []VerdictKind{
		VerdictAffected, VerdictHolds, VerdictClean, VerdictUnsupported, VerdictNatural, VerdictInconclusive, VerdictError,
	}
}

// rule checks one expectation or control against the matrix, whose kernels,
// filesystems, scenarios and watches have been decoded.
func (p *parser) rule(f fileRule, path string) Rule {
	r := Rule{
		Kernel: f.Kernel.Value, Filesystem: f.Filesystem.Value, Scenario: f.Scenario.Value, Watch: f.Watch.Value,
		Why: f.Why.Value, Line: f.line,
	}
	var known []string
	for _, k := range VerdictKinds() {
		known = append(known, string(k))
	}
	for i, v := range f.Verdict.Value {
		switch {
		case !slices.Contains(known, v):
			p.problem(f.Verdict.Line, elem(path+".verdict", f.Verdict.Value, i), "%s", unknown("verdict", v, known))
		case slices.Contains(r.Verdict, VerdictKind(v)):
			p.problem(f.Verdict.Line, elem(path+".verdict", f.Verdict.Value, i), "names %s twice; remove one", v)
		default:
			r.Verdict = append(r.Verdict, VerdictKind(v))
		}
	}
	var kernels []string
	for _, k := range p.spec.Kernels {
		kernels = append(kernels, k.Name)
	}
	p.patterns("kernel", path+".kernel", f.Kernel, kernels)
	p.patterns("filesystem", path+".filesystem", f.Filesystem, p.spec.Filesystems)
	p.patterns("scenario", path+".scenario", f.Scenario, p.spec.Scenarios)
	p.patterns("watch", path+".watch", f.Watch, watchNames(p.spec, p.cat))
	return r
}

// control checks one control: an expectation about plain watches, so that a
// kernel and a watch must be named, of one verdict.
func (p *parser) control(f fileRule, path string) {
	r := p.rule(f, path)
	for _, required := range []struct {
		key      string
		patterns at[texts]
	}{{keyKernel, f.Kernel}, {keyWatch, f.Watch}} {
		if required.patterns.Line == 0 {
			p.problem(f.line, path+"."+required.key, "is missing; name the %s whose answer is known", required.key)
		}
	}
	switch {
	case r.CanControl():
		p.spec.Controls = append(p.spec.Controls, r)
	case len(r.Verdict) == len(f.Verdict.Value) && len(r.Verdict) > 0:
		p.problem(f.Verdict.Line, path+".verdict", "is %s; a control must be %s or %s", listed(f.Verdict.Value), VerdictAffected, VerdictClean)
	}
}

// contradictions reports controls that want two verdicts of the same cell.
func (p *parser) contradictions() {
	for i, r := range p.spec.Controls {
		for _, first := range p.spec.Controls[:i] {
			if first.must() == r.must() {
				continue
			}
			if c, ok := p.common(first, r); ok {
				p.problem(r.Line, "controls", "%s must be %s here and %s on line %d; narrow one of them", c, r.must(), first.must(), first.Line)
				return
			}
		}
	}
}

// common finds a cell of the matrix that both rules are about.
func (p *parser) common(a, b Rule) (id string, ok bool) {
	for _, k := range p.spec.Kernels {
		for _, fs := range p.spec.Filesystems {
			for _, sc := range p.spec.Scenarios {
				for _, w := range watchNames(p.spec, p.cat) {
					c := Cell{Kernel: k.Name, Filesystem: fs, Scenario: sc, Watch: Watch{Name: w}}
					if a.Matches(c) && b.Matches(c) {
						return c.ID(), true
					}
				}
			}
		}
	}
	return "", false
}

// patterns reports the patterns that match none of the matrix's names.
func (p *parser) patterns(kind, path string, patterns at[texts], names []string) {
	for i, pattern := range patterns.Value {
		if !slices.ContainsFunc(names, func(n string) bool { return matchGlob(pattern, n) }) {
			p.problem(patterns.Line, elem(path, patterns.Value, i), "%s", noMatch(kind, pattern, names))
		}
	}
}

func noMatch(kind, pattern string, names []string) string {
	hint := DidYouMean(pattern, names)
	if hint == "" {
		hint = "the matrix has none"
	}
	return fmt.Sprintf("%q matches no %s of the matrix; %s", shorten(pattern), kind, hint)
}

// elem is the path of one of several values; a single one needs no index.
func elem(path string, all texts, i int) string {
	if len(all) == 1 {
		return path
	}
	return index(path, i)
}

// watchNames are the names of the matrix's watches and of the controls that a
// plan may add to them.
func watchNames(s *Spec, cat Catalog) []string {
	var out []string
	sources := map[string]bool{}
	for _, w := range s.Watches {
		out = append(out, w.Name)
		sources[w.Source] = true
	}
	for _, w := range s.Watches {
		if !sources[w.Source] {
			continue
		}
		sources[w.Source] = false
		if c, ok := control(s, cat, w.Source); ok && !slices.Contains(out, c.Name) {
			out = append(out, c.Name)
		}
	}
	return out
}
