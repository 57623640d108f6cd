package matrix

import (
	"os"
	"slices"
	"testing"

	"gopkg.in/yaml.v3"
)

type testDebian struct {
	Suite   string `yaml:"suite" kqual:"required"`
	Package string `yaml:"package"`
}

type testBuild struct {
	Source struct {
		Debian *testDebian `yaml:"debian"`
	} `yaml:"source" kqual:"required"`
	Config  []string          `yaml:"config"`
	Patches []string          `yaml:"patches"`
	Env     map[string]string `yaml:"env"`
	Jobs    int               `yaml:"jobs"`
}

// testCatalog resembles what the real packages register.
func testCatalog() Catalog {
	flags := func(names ...string) map[string]uint64 {
		m := map[string]uint64{}
		for i, n := range names {
			m[n] = 1 << i
		}
		return m
	}
	only := func(w Watch, event string) bool {
		return slices.Equal(slices.DeleteFunc(slices.Clone(w.Flags["mask"]), func(f string) bool { return f == "FAN_ONDIR" }), []string{event})
	}
	return Catalog{
		Architectures: []string{"amd64", "arm64"},
		KernelSources: map[string]KernelSource{
			"debian": {
				Name: "debian",
				Decode: func(n *yaml.Node, path string) (any, Problems) {
					var c testDebian
					ps := DecodeStrict(n, path, &c)
					return c, ps
				},
				Cost: func(any) string { return "download about 30 MB" },
			},
			"build": {
				Name: "build",
				Decode: func(n *yaml.Node, path string) (any, Problems) {
					var c testBuild
					ps := DecodeStrict(n, path, &c)
					return c, ps
				},
			},
		},
		EventSources: map[string]EventSource{
			"inotify": {
				Name:   "inotify",
				Groups: []FlagGroup{{Key: "mask", Required: true, Flags: flags("IN_DELETE", "IN_EXCL_UNLINK", "IN_MOVED_FROM", "IN_MASK_ADD", "IN_MASK_CREATE")}},
				Validate: func(w Watch) []string {
					if slices.Contains(w.Flags["mask"], "IN_MASK_ADD") && slices.Contains(w.Flags["mask"], "IN_MASK_CREATE") {
						return []string{"IN_MASK_ADD and IN_MASK_CREATE exclude each other; take one out"}
					}
					return nil
				},
				IsPlain: func(w Watch) bool { return w.Check == "open" && only(w, "IN_DELETE") },
				Plain: func() Watch {
					return Watch{Name: "IN_DELETE", Source: "inotify", Check: "open", Flags: map[string][]string{"mask": {"IN_DELETE"}}}
				},
			},
			"fanotify": {
				Name: "fanotify",
				Groups: []FlagGroup{
					{Key: "init", Flags: flags("FAN_REPORT_DFID_NAME", "FAN_REPORT_DFID_NAME_TARGET")},
					{Key: "mark", Flags: flags("FAN_MARK_FILESYSTEM")},
					{Key: "mask", Required: true, Flags: flags("FAN_DELETE", "FAN_ONDIR")},
				},
				IsPlain: func(w Watch) bool {
					return w.Check == "open" && !slices.Contains(w.Flags["init"], "FAN_REPORT_DFID_NAME_TARGET") && only(w, "FAN_DELETE")
				},
				Plain: func() Watch {
					return Watch{
						Name: "FAN_DELETE", Source: "fanotify",
						Flags: map[string][]string{"init": {"FAN_REPORT_DFID_NAME"}, "mask": {"FAN_DELETE", "FAN_ONDIR"}},
					}
				},
			},
		},
		Checks: map[string]Check{
			"open":  {Name: "open"},
			"nlink": {Name: "nlink", Recognises: true},
			"target_fid": {Name: "target_fid", Recognises: true, Validate: func(w Watch) string {
				if !slices.Contains(w.Flags["init"], "FAN_REPORT_DFID_NAME_TARGET") {
					return "needs the deleted file's handle; add FAN_REPORT_DFID_NAME_TARGET to init"
				}
				return ""
			}},
			"getdents": {Name: "getdents"},
		},
		Scenarios: map[string]Scenario{
			"unlink": {Name: "unlink", Events: map[string][]string{"inotify": {"IN_DELETE"}, "fanotify": {"FAN_DELETE"}}},
			"rmdir":  {Name: "rmdir", Events: map[string][]string{"inotify": {"IN_DELETE"}, "fanotify": {"FAN_DELETE"}}},
			"rename": {Name: "rename", Events: map[string][]string{"inotify": {"IN_MOVED_FROM"}}},
		},
		Filesystems: map[string]Filesystem{
			"tmpfs": {Name: "tmpfs"}, "ext4": {Name: "ext4", Tools: []Tool{{"mkfs.ext4", "e2fsprogs"}}}, "overlay": {Name: "overlay"},
		},
	}
}

func designMatrix(t testing.TB) []byte {
	t.Helper()
	data, err := os.ReadFile("testdata/design.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func designSpec(t testing.TB) *Spec {
	t.Helper()
	s, err := Parse("matrix.yaml", designMatrix(t), testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	return s
}
