package kernels

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
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

	data, err := os.ReadFile("../matrices/history.yaml")
	must(t, err)
	var history struct {
		Kernels []struct {
			Name   string
			Debian yaml.Node
		}
	}
	must(t, yaml.Unmarshal(data, &history))
	want(t, "kernels", len(history.Kernels), len(side))
	e := newTestEnv(t)
	for _, k := range history.Kernels {
		config, problems := debianSource{}.Catalog().Decode(&k.Debian, k.Name)
		if len(problems) > 0 {
			t.Fatalf("%s: %v", k.Name, problems)
		}
		c := config.(DebianConfig)
		c.Keyring = m.keyring
		img, err := debianSource{}.Fetch(t.Context(), e.Env, c)
		if err != nil {
			t.Errorf("%s: %v", k.Name, err)
			continue
		}
		want(t, k.Name, img.Provenance.Version, side[k.Name]+"-1")
	}
}
