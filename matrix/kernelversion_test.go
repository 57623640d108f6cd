package matrix

import (
	"slices"
	"testing"
)

// orderedVersions is from old to new, all different.
var orderedVersions = []string{
	"4.19.316-1", "5.2.1", "5.3~rc1-1~exp1", "5.3-rc2", "5.3", "5.4.59", "5.4.176",
	"5.10-rc7", "5.10.0", "5.10.0-9-cloud-amd64", "5.10.0-37-amd64", "5.10.96", "5.10.223-1~bpo10+1", "5.10.223-1", "5.10.223-2", "5.10.223+x-1",
	"6.1.0-9-cloud-amd64", "6.1.0-37-cloud-amd64", "6.1.140-1", "6.12.43-1", "6.12.43+deb13-cloud-amd64",
	"6.16.3-1~bpo13+1", "6.16.3-1", "7.3~rc7-1~exp1", "7.3-1", "7.10", "1:2.0-1",
}

func TestVersionsSortFromOldToNew(t *testing.T) {
	vs := make([]Version, len(orderedVersions))
	for i, s := range orderedVersions {
		v, err := ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		if v.String() != s {
			t.Errorf("String() = %q, want %q", v, s)
		}
		vs[i] = v
	}
	for i, v := range vs {
		for j, w := range vs {
			if got := v.Compare(w); (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("%s compared with %s: %d", v, w, got)
			}
		}
	}
}

func TestVersionsThatDifferInSpellingAreEqual(t *testing.T) {
	for _, c := range [][2]string{{"7.3~rc7", "7.3-rc7"}, {"7.3-rc7", "v7.3-rc7"}, {"5.10", "5.10.0"}, {"0:5.10-1", "5.10-1"}, {"5.10.0-rc1", "5.10-rc1"}, {"5.010", "5.10"}} {
		v, _ := ParseVersion(c[0])
		w, _ := ParseVersion(c[1])
		if v.Compare(w) != 0 || w.Compare(v) != 0 {
			t.Errorf("%s and %s differ", v, w)
		}
	}
}

func TestVersionParts(t *testing.T) {
	for _, c := range []struct{ in, series, upstream string }{
		{"5.10.223-1", "5.10", "5.10.223"},
		{"7.3~rc7-1~exp1", "7.3", "7.3-rc7"},
		{"6.12.43+deb13-cloud-amd64", "6.12", "6.12.43"},
		{"7", "7", "7"},
	} {
		v, err := ParseVersion(c.in)
		if err != nil || v.Series() != c.series || v.Upstream() != c.upstream {
			t.Errorf("%s: series %q, upstream %q, %v", c.in, v.Series(), v.Upstream(), err)
		}
	}
	for _, in := range []string{"", "linux", "-1", "5.10 223", "v", "5.10\n", "1:", "5.10/x"} {
		if v, err := ParseVersion(in); err == nil {
			t.Errorf("%q parsed as %+v", in, v)
		}
	}
	if (Version{}).Series() != "" {
		t.Error("series of the zero version")
	}
}

// The order of three versions is antisymmetric, transitive, and equality is a
// congruence.
func checkOrder(t *testing.T, vs [3]Version) {
	t.Helper()
	sign := func(n int) int { return max(-1, min(1, n)) }
	for _, p := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		a, b, c := vs[p[0]], vs[p[1]], vs[p[2]]
		if sign(a.Compare(b)) != -sign(b.Compare(a)) || a.Compare(a) != 0 {
			t.Errorf("not antisymmetric: %s, %s", a, b)
		}
		if a.Compare(b) <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Errorf("not transitive: %s, %s, %s", a, b, c)
		}
		if a.Compare(b) == 0 && sign(a.Compare(c)) != sign(b.Compare(c)) {
			t.Errorf("equal %s and %s differ against %s", a, b, c)
		}
	}
}

func TestVersionOrderIsTotal(t *testing.T) {
	var vs []Version
	for _, s := range append(slices.Clone(orderedVersions), "7.3~rc7", "v7.3-rc7", "5.10", "5.10~", "5.10-~", "5.10-a", "5.10-A1", "5.10+", "00:5.10.0", "5.10-rc0", "5.10-") {
		v, err := ParseVersion(s)
		if err != nil {
			t.Fatal(err)
		}
		vs = append(vs, v)
	}
	vs = append(vs, Version{})
	for _, a := range vs {
		for _, b := range vs {
			for _, c := range vs {
				checkOrder(t, [3]Version{a, b, c})
			}
		}
	}
}

func FuzzVersion(f *testing.F) {
	for i := range orderedVersions[2:] {
		f.Add(orderedVersions[i], orderedVersions[i+1], orderedVersions[i+2])
	}
	f.Fuzz(func(t *testing.T, a, b, c string) {
		var vs [3]Version
		for i, s := range []string{a, b, c} {
			v, err := ParseVersion(s)
			if err != nil {
				return
			}
			if v.String() != s {
				t.Errorf("String() = %q, want %q", v, s)
			}
			vs[i] = v
		}
		checkOrder(t, vs)
	})
}
