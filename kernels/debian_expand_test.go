package kernels

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kqual/matrix"
)

// manyKernels is a suite with three cloud kernels, a debug package, another
// flavour and a meta package.
func manyKernels(t testing.TB) *fakeMirror {
	t.Helper()
	m := newFakeMirror(t)
	for _, v := range []string{"6.1.10-1", "6.1.9-1", "6.12.1-1"} {
		name := "linux-image-" + v + "-cloud-amd64"
		m.add(name, v, "", fakeDeb(fakeKernel(v, "./")...))
		m.add(name+"-dbg", v, "", fakeDeb())
	}
	m.add("linux-image-6.1.9-1-amd64", "6.1.9-1", "", fakeDeb(fakeKernel("6.1.9-1-amd64", "./")...))
	m.add("linux-image-cloud-amd64", "6.12.1-1", "linux-image-6.12.1-1-cloud-amd64", fakeDeb())
	m.publish(t, "bookworm")
	return m
}

func TestDebianPatternStandsForEveryKernelThatMatches(t *testing.T) {
	m := manyKernels(t)
	for _, test := range []struct {
		name, pkg, versions, track string
		want                       []string
	}{
		{"wildcard", "linux-image-*-cloud-amd64", "", "", []string{"k-6.1.9-1", "k-6.1.10-1", "k-6.12.1-1"}},
		{"wildcard and range", "linux-image-*-cloud-amd64", ">=6.1 <6.2", "", []string{"k-6.1.9-1", "k-6.1.10-1"}},
		{"range of one package", "linux-image-cloud-amd64", ">6", "", []string{"k-6.12.1-1"}},
		{"flavours of one version", "linux-image-*-amd64", "=6.1.9-1", "", []string{"k-6.1.9-1-amd64-6.1.9-1", "k-6.1.9-1-cloud-amd64-6.1.9-1"}},
		{"tracked", "linux-image-*-cloud-amd64", "<6.2", "latest", []string{"k"}},
		{"newest of each series", "linux-image-*-cloud-amd64", "", "series", []string{"k-6.1", "k-6.12"}},
		{"plain", "linux-image-cloud-amd64", "", "", []string{"k"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			e, c := newTestEnv(t), m.config("bookworm")
			c.Package, c.Versions, c.Track = test.pkg, test.versions, test.track
			list, err := Expand(t.Context(), e.Env, matrix.Kernel{Name: "k", Source: "debian", Config: c})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, k := range list {
				got = append(got, k.Name)
				img, err := Fetch(t.Context(), e.Env, k)
				if err != nil {
					t.Fatal(err)
				}
				if suffix := strings.TrimPrefix(k.Name, "k-"); test.track == "" && suffix != "k" && !strings.HasSuffix(suffix, img.Provenance.Version) {
					t.Errorf("%s is version %s", k.Name, img.Provenance.Version)
				}
				newest := "6.1.10-1"
				if k.Name == "k-6.12" {
					newest = "6.12.1-1"
				}
				if test.track != "" && img.Provenance.Version != newest {
					t.Errorf("the newest for %s is %s", k.Name, img.Provenance.Version)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestSeriesWithoutItsModulesIsLeftOutAndSaid(t *testing.T) {
	p := func(version string, depends ...string) PackageInfo {
		info := PackageInfo{Name: "linux-image-" + version, Version: version}
		for _, d := range depends {
			info.Depends = append(info.Depends, []string{d})
		}
		return info
	}
	found := []PackageInfo{
		p("6.1.9-1"), p("6.1.10-1", "linux-modules-gone"), // an older one is whole
		p("6.19.1-1", "linux-modules-gone"), p("6.19.2-1", "linux-modules-lost"), p("7.0.1-1"),
	}
	e := newTestEnv(t)
	var said []string
	e.Progress = func(ev Event) { said = append(said, ev.Step) }
	var got []string
	for _, p := range newestOfSeries(e.Env, found, found, "suite") {
		got = append(got, p.Version)
	}
	if diff := cmp.Diff([]string{"6.1.9-1", "7.0.1-1"}, got); diff != "" {
		t.Error(diff)
	}
	if len(said) != 1 || !strings.HasPrefix(said[0], "series 6.19 is left out: ") || !strings.Contains(said[0], "linux-modules-lost") {
		t.Errorf("said %q", said)
	}
}

func TestDebianPatternThatMatchesNothingSaysSo(t *testing.T) {
	m, e := manyKernels(t), newTestEnv(t)
	c := m.config("bookworm")
	c.Versions = ">=9"
	_, err := Expand(t.Context(), e.Env, matrix.Kernel{Name: "k", Source: "debian", Config: c})
	if err == nil || !strings.Contains(err.Error(), "suite bookworm has no kernel for linux-image-cloud-amd64 >=9") {
		t.Errorf("error %v", err)
	}
}

func TestUnexpandedPatternIsRefusedWhereOneKernelIsWanted(t *testing.T) {
	m, e := manyKernels(t), newTestEnv(t)
	c := m.config("bookworm")
	c.Package = "linux-image-*-cloud-amd64"
	_, err := fetchDebian(t, e, c)
	if err == nil || !strings.Contains(err.Error(), "has 3 kernels for linux-image-*-cloud-amd64, and one is wanted here") {
		t.Errorf("error %v", err)
	}
}

func TestVersionRanges(t *testing.T) {
	for _, test := range []struct {
		bounds, version string
		want            bool
	}{
		{">=6.1 <6.2", "6.1.140-1", true},
		{">=6.1 <6.2", "6.2.1-1", false},
		{">=6.1", "6.1~rc3-1~exp1", false},
		{"<6.2", "6.2~rc1-1", true},
		{"<=6.1.9-1", "6.1.9-1", true},
		{">6.1.9-1", "6.1.9-1", false},
		{"=6.1.9-1", "6.1.9-1", true},
		{"", "1", true},
	} {
		constraints, err := parseVersions(test.bounds)
		if err != nil {
			t.Fatal(err)
		}
		got := true
		for _, c := range constraints {
			got = got && c.holds(test.version)
		}
		if got != test.want {
			t.Errorf("%s in %q: %t", test.version, test.bounds, got)
		}
	}
	for _, bad := range []string{"6.1", ">=", ">=6.1 6.2", ">= 6.1", "~6.1", "<6 .2"} {
		if _, err := parseVersions(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}
