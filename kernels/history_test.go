package kernels

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"kqual/matrix"
)

// Of an archive with a release on either side of every turn, each entry of
// matrices/history.yaml takes the one of its side.
func TestHistoryTakesTheSideOfEachTurn(t *testing.T) {
	side := map[string]string{
		"v4.19": "4.19.67", "v5.2": "5.2.17", "v5.3": "5.3.9", "v5.4-before": "5.4.175", "v5.10-before": "5.10.95",
		"v5.10-after": "5.10.106", "v5.15-before": "5.15.18", "v5.16-before": "5.16.4", "v5.16-after": "5.16.7", "v5.17": "5.17.3",
	}
	m := newFakeMirror(t)
	for _, release := range []string{
		"4.19.67", "4.20.1", "5.2.17", "5.3.9", "5.4.19", "5.4.175", "5.4.176", "5.10.84", "5.10.95", "5.10.96", "5.10.106",
		"5.10.220", "5.15.15", "5.15.18", "5.15.19", "5.16.4", "5.16.5", "5.16.7", "5.17.3", "5.18.1",
	} {
		m.add("linux-image-"+release+"-cloud-amd64", release+"-1", "", fakeDeb(fakeKernel(release, "./")...))
	}
	for _, suite := range []string{"buster", "bullseye", "sid", "experimental"} {
		m.publish(t, suite, "Valid-Until: Sat, 08 Jan 2022 00:00:00 UTC")
	}
	archive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		if !moment.MatchString(first) {
			http.NotFound(w, r)
			return
		}
		r.URL.Path = "/" + rest
		m.ServeHTTP(w, r)
	}))
	defer archive.Close()
	t.Setenv(snapshotVariable, archive.URL)

	list := historyKernels(t)
	e := newTestEnv(t)
	packaged := 0
	for _, k := range list {
		if k.Source != "debian" {
			continue
		}
		packaged++
		c := k.Config.(DebianConfig)
		c.Keyring = m.keyring
		img, err := debianSource{}.Fetch(t.Context(), e.Env, c)
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		want(t, k.Name, img.Provenance.Version, side[k.Name]+"-1")
	}
	want(t, "kernels", packaged, len(side))
}

// historyKernels are the entries of matrices/history.yaml.
func historyKernels(t *testing.T) []matrix.Kernel {
	t.Helper()
	data, err := os.ReadFile("../matrices/history.yaml")
	must(t, err)
	var history struct {
		Kernels []map[string]yaml.Node
	}
	must(t, yaml.Unmarshal(data, &history))
	var out []matrix.Kernel
	for _, entry := range history.Kernels {
		name := entry["name"]
		k := matrix.Kernel{Name: name.Value}
		for key, node := range entry {
			if s, ok := sources[key]; ok {
				var problems matrix.Problems
				if k.Config, problems = s.Catalog().Decode(&node, k.Name); len(problems) > 0 {
					t.Fatalf("%s: %v", k.Name, problems)
				}
				k.Source = key
			}
		}
		out = append(out, k)
	}
	return out
}

// Of a repository with tags as the kernel's, each entry that is built takes the
// release of its name.
func TestHistoryBuildsTheReleasesOfItsNames(t *testing.T) {
	b, r := newBuilder(t, fakeSource()), newGitRepo(t)
	var built []matrix.Kernel
	url := ""
	for _, k := range historyKernels(t) {
		if k.Source != "build" {
			continue
		}
		built = append(built, k)
		c := k.Config.(buildConfig)
		url = c.Source.Git.URL
		makefile := strings.Replace(fakeMakefile, "RELEASE = 5.10.223", "RELEASE = "+strings.TrimPrefix(c.Source.Git.Rev, "v"), 1)
		must(t, os.WriteFile(filepath.Join(r.dir, "Makefile"), []byte(makefile), 0o644))
		r.commit()
		r.git("tag", c.Source.Git.Rev)
	}
	want(t, "kernels", len(built), 8)
	home := t.TempDir()
	must(t, os.WriteFile(filepath.Join(home, ".gitconfig"), []byte("[url \"file://"+r.dir+"\"]\n\tinsteadOf = "+url+"\n"), 0o644))
	t.Setenv("HOME", home)
	for _, k := range built {
		c := k.Config.(buildConfig)
		c.Config = []string{b.config} // the fake source has few options
		img, err := buildSource{}.Fetch(t.Context(), b.Env, c)
		must(t, err)
		want(t, k.Name, "v"+img.Provenance.Version, k.Name)
		if strings.Contains(img.Provenance.Details["source"], r.dir) {
			t.Errorf("source %q", img.Provenance.Details["source"])
		}
	}
}

// TestVMHistoryOfRealPackages serves real packages as a snapshot archive of
// several moments. What such an entry gives is the kernel that the archive of
// today gives, and a moment that is not there costs its own kernel alone.
func TestVMHistoryOfRealPackages(t *testing.T) {
	if os.Getenv("KQUAL_VM") != "1" {
		t.Skip("fetches real kernels; set KQUAL_VM=1 (make test does)")
	}
	dir, err := DefaultCacheDir()
	must(t, err)
	shared, err := OpenCache(dir)
	must(t, err)
	today := Env{Cache: shared, Kernel: "today", Progress: func(Event) {}}
	m := newFakeMirror(t)
	direct := map[string]*Image{}
	for suite, pattern := range map[string]string{"bullseye": "linux-image-5.10.*-cloud-amd64", "bookworm": "linux-image-6.1.*-cloud-amd64"} {
		c := DebianConfig{Suite: suite, Package: pattern, Track: trackLatest}
		path, p, err := FetchDebianPackage(t.Context(), today, c)
		must(t, err)
		deb, err := os.ReadFile(path)
		must(t, err)
		m.add(p.Name, p.Version, "", deb)
		direct[suite], err = debianSource{}.Fetch(t.Context(), today, c)
		must(t, err)
	}
	m.publish(t, "bullseye", "Valid-Until: Sat, 08 Jan 2022 00:00:00 UTC")
	m.publish(t, "bookworm", "Valid-Until: Sat, 08 Jan 2022 00:00:00 UTC")
	archive := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rest, there := strings.CutPrefix(r.URL.Path, "/20260401T000000Z")
		if !there {
			http.NotFound(w, r)
			return
		}
		r.URL.Path = rest
		m.ServeHTTP(w, r)
	}))
	defer archive.Close()
	t.Setenv(snapshotVariable, archive.URL)
	e := newTestEnv(t)
	for _, entry := range []struct{ text, suite, wrong string }{
		{`{suite: bullseye, package: linux-image-5.10.*-cloud-amd64, versions: ">=5.10.96 <5.11", track: latest, snapshot: 20260401T000000Z, allow_expired: true}`, "bullseye", ""},
		{`{suite: bullseye, package: linux-image-5.10.*-cloud-amd64, versions: "<5.10.96", track: latest, snapshot: 20260401T000000Z, allow_expired: true}`, "", "5.10.96"},
		{`{suite: bookworm, package: linux-image-6.1.*-cloud-amd64, track: latest, snapshot: 20250101T000000Z, allow_expired: true}`, "", "20250101T000000Z"},
		{`{suite: bookworm, package: linux-image-6.1.*-cloud-amd64, track: latest, snapshot: 20260401T000000Z}`, "", "Valid-Until"},
		{`{suite: bookworm, package: linux-image-6.1.*-cloud-amd64, track: latest, snapshot: 20260401T000000Z, allow_expired: true}`, "bookworm", ""},
	} {
		var node yaml.Node
		must(t, yaml.Unmarshal([]byte(entry.text), &node))
		config, problems := debianSource{}.Catalog().Decode(node.Content[0], "k")
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		c := config.(DebianConfig)
		c.Keyring = m.keyring
		img, err := debianSource{}.Fetch(t.Context(), e.Env, c)
		if entry.wrong != "" {
			if !refused(err) || !strings.Contains(err.Error(), entry.wrong) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%s: error %v, want %s", entry.text, err, entry.wrong)
			}
			continue
		}
		must(t, err)
		must(t, img.Verify())
		same := direct[entry.suite]
		if img.Release != same.Release || img.Provenance.SHA256 != same.Provenance.SHA256 || img.Provenance.Version != same.Provenance.Version {
			t.Errorf("%s: %+v, want %+v", entry.text, img, same)
		}
		t.Logf("%s: %s", c.Suite, img.Release)
	}
}
