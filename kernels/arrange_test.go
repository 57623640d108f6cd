package kernels

import (
	"os"
	"path/filepath"
	"testing"
)

// Where projects that publish kernel images put them.
func TestKernelIsFoundInTheLayoutsOfImages(t *testing.T) {
	image := fakeBzImage(aRelease, gzipped(fakeVmlinux(true)))
	modules := tarFile{name: "lib/modules/" + aRelease + "/kernel/fs/xfs/xfs.ko", body: fakeModule("depends=")}
	config := []byte("CONFIG_SMP=y\n")
	for name, c := range map[string]struct {
		files           []tarFile
		config, modules bool
	}{
		"boot":                 {[]tarFile{{name: "boot/vmlinuz-" + aRelease, body: image}, {name: "boot/config-" + aRelease, body: config}, modules}, true, true},
		"boot, plain":          {[]tarFile{{name: "boot/vmlinuz", body: image}, {name: "boot/config", body: config}}, true, false},
		"root":                 {[]tarFile{{name: "vmlinuz", body: image}, modules}, false, true},
		"root, with a release": {[]tarFile{{name: "vmlinuz-" + aRelease, body: image}, {name: "config-" + aRelease, body: config}}, true, false},
		"bzImage":              {[]tarFile{{name: "boot/bzImage", body: image}}, false, false},
		"below boot":           {[]tarFile{{name: "boot/" + aRelease + "/vmlinuz", body: image}, modules}, false, true},
		"usr/boot":             {[]tarFile{{name: "usr/boot/vmlinuz-" + aRelease, body: image}}, false, false},
		"anywhere":             {[]tarFile{{name: "data/kernels/6.9/boot/vmlinuz-" + aRelease, body: image}, {name: "data/kernels/6.9/boot/config-" + aRelease, body: config}}, true, false},
		"merged usr":           {[]tarFile{{name: "usr/lib/modules/" + aRelease + "/vmlinuz", body: image}, {name: "usr/lib/modules/" + aRelease + "/config", body: config}}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			at, _ := push(t, newRegistry(), tarOf(append(c.files, tarFile{name: "etc/vmlinuz.txt", body: []byte("not wanted")})...))
			e := newTestEnv(t)
			img, err := ociSource{}.Fetch(t.Context(), e.Env, ociConfig{Image: at})
			must(t, err)
			want(t, "release", img.Release, aRelease)
			want(t, "modules", img.Modules != "", c.modules)
			want(t, "config", img.Config != "", c.config)
			kept, err := os.ReadDir(filepath.Dir(img.Vmlinuz))
			must(t, err)
			for _, e := range kept {
				if n := e.Name(); n != "vmlinuz" && n != "config" && n != "modules" && n != manifestName {
					t.Errorf("kept %s", n)
				}
			}
		})
	}
	two := tarOf(tarFile{name: "a/vmlinuz", body: image}, tarFile{name: "b/vmlinuz", body: image})
	at, _ := push(t, newRegistry(), two)
	failsWith(t, ociSource{}, ociConfig{Image: at}, "more than one kernel in "+at+": a/vmlinuz and b/vmlinuz", "oci")
}
