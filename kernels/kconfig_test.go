package kernels

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProvenanceHasTheOptionsThatMatterAndTheConfig(t *testing.T) {
	const config = "CONFIG_SMP=y\nCONFIG_HZ=250\nCONFIG_PREEMPT_VOLUNTARY=y\n# CONFIG_PREEMPT is not set\nCONFIG_FANOTIFY=y\n" +
		"CONFIG_FHANDLE=y\nCONFIG_TMPFS=y\nCONFIG_TMPFS_XATTR=y\nCONFIG_EXT4_FS=m\n"
	options := map[string]string{"SMP": "y", "HZ": "250", "PREEMPT_VOLUNTARY": "y", "FANOTIFY": "y", "FHANDLE": "y", "TMPFS": "y"}
	e := newTestEnv(t)
	file := fileConfig{
		Vmlinuz: writeFile(t, "vmlinuz", string(fakeBzImage("6.1.9", gzipped(fakeVmlinux(true))))), Config: writeFile(t, "config", config),
	}
	img, err := fileSource{}.Fetch(t.Context(), e.Env, file)
	must(t, err)
	want(t, "options", img.Provenance.Config, options)
	want(t, "hash", img.Provenance.Details[detailConfigSum], sum([]byte(config)))
	want(t, "place", img.Provenance.Details[detailConfigFile], file.Config)

	// What is in the cache is named from there, so that the cache may move.
	b := newBuilder(t, fakeSource())
	img = b.build()
	kept := img.Provenance.Details[detailConfigFile]
	data, err := os.ReadFile(filepath.Join(b.Cache.Dir(), kept))
	must(t, err)
	want(t, "place", filepath.Dir(kept), "build/"+img.Provenance.Details["recipe"])
	want(t, "hash", img.Provenance.Details[detailConfigSum], sum(data))
	want(t, "options", img.Provenance.Config["SMP"]+img.Provenance.Config["HZ"], "y250")

	m := newFakeMirror(t)
	m.release(t, "6.1.9-1")
	img, err = fetchDebian(t, e, m.config("testing"))
	must(t, err)
	if d := img.Provenance.Details; (img.Config == "") != (d[detailConfigSum] == "") || img.Config == "" {
		t.Errorf("config %q, details %v", img.Config, d)
	}
}
