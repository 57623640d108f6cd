package kernels

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"kqual/matrix"
)

func TestFileTakesAKernelFromTheUser(t *testing.T) {
	e, dir := newTestEnv(t), t.TempDir()
	t.Chdir(dir)
	must(t, os.WriteFile("vmlinuz", fakeBzImage("6.6.1-own", gzipped(fakeVmlinux(true))), 0o644))
	must(t, os.WriteFile("config", []byte("CONFIG_FHANDLE=y\nCONFIG_PREEMPT_RT=y\n"), 0o644))
	must(t, os.Mkdir("modules", 0o755))
	img, err := fileSource{}.Fetch(t.Context(), e.Env, fileConfig{Vmlinuz: "vmlinuz", Modules: "modules", Config: "config"})
	must(t, err)
	must(t, img.Verify())
	for _, path := range []string{img.Vmlinuz, img.Modules, img.Config, img.Vmlinux} {
		if !filepath.IsAbs(path) {
			t.Errorf("path %q", path)
		}
	}
	if img.Release != "6.6.1-own" || img.Provenance.Version != "6.6.1-own" || img.Provenance.Source != "file" {
		t.Errorf("image %+v", img)
	}
	if want := map[string]string{"FHANDLE": "y", "PREEMPT_RT": "y"}; !reflect.DeepEqual(img.Provenance.Config, want) {
		t.Errorf("config %v", img.Provenance.Config)
	}
}

func TestFileSaysWhichPathIsWrong(t *testing.T) {
	e := newTestEnv(t)
	t.Chdir(t.TempDir())
	must(t, os.WriteFile("vmlinuz", fakeBzImage("6.6.1", nil), 0o644))
	must(t, os.WriteFile("text", []byte("hello"), 0o644))
	for want, c := range map[string]fileConfig{
		"file: vmlinuz: stat nowhere: no such file": {Vmlinuz: "nowhere"},
		"file: vmlinuz: . is no file":               {Vmlinuz: "."},
		"file: modules: text is no directory":       {Vmlinuz: "vmlinuz", Modules: "text"},
		"file: config: stat nowhere: no such file":  {Vmlinuz: "vmlinuz", Config: "nowhere"},
		"not an x86 kernel image":                   {Vmlinuz: "text"},
	} {
		_, err := fileSource{}.Fetch(t.Context(), e.Env, c)
		var f *matrix.Failure
		if !errors.As(err, &f) || !strings.Contains(err.Error(), want) || f.Hint == "" {
			t.Errorf("%+v: error %v, want … %s …", c, err, want)
		}
	}
}

func TestSourcesDescribeThemselves(t *testing.T) {
	list := Sources()
	for i, s := range list {
		c := s.Catalog()
		if c.Name == "" || c.Doc == "" || c.Decode == nil || i > 0 && list[i-1].Catalog().Name >= c.Name {
			t.Errorf("source %d: %+v", i, c)
		}
	}
	if len(list) < 2 {
		t.Errorf("%d sources", len(list))
	}
}

func TestFetchNamesAnUnknownSource(t *testing.T) {
	_, err := Fetch(t.Context(), Env{}, matrix.Kernel{Name: "k", Source: "carrier-pigeon"})
	if err == nil || !strings.Contains(err.Error(), `no source named "carrier-pigeon"`) {
		t.Errorf("error %v", err)
	}
}
