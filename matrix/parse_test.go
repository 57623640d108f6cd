package matrix

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseReadsTheDesignsMatrix(t *testing.T) {
	s := designSpec(t)
	if s.Path != "matrix.yaml" || len(s.Hash) != 64 || s.Name != "in-delete-race" || s.Version != 1 {
		t.Errorf("head: %+v", s)
	}
	if want := (Machine{VCPUs: 2, Memory: 512 << 20, Accel: "auto", Arch: "amd64"}); s.Machine != want || s.Kernels[1].Machine != want {
		t.Errorf("machine %+v", s.Machine)
	}
	if want := (Sampling{Pressure: PressureAuto, DetectionLimit: 0.001, Confidence: 0.95, MaxTime: 20 * time.Second}); s.Sampling != want {
		t.Errorf("sampling %+v", s.Sampling)
	}
	if got, want := s.Kernels[0].Config, any(testDebian{"bullseye", "linux-image-cloud-amd64"}); got != want {
		t.Errorf("config %+v, want %+v", got, want)
	}
	if s.Kernels[1].Source != "build" || s.Kernels[1].Line != 8 {
		t.Errorf("kernel %+v", s.Kernels[1])
	}
	want := Watch{Name: "FAN_DELETE+target_fid", Source: "fanotify", Check: "target_fid", Flags: map[string][]string{
		"init": {"FAN_REPORT_DFID_NAME_TARGET"}, "mask": {"FAN_DELETE", "FAN_ONDIR"},
	}}
	if diff := cmp.Diff(want, s.Watches[4]); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(Rule{
		Kernel: []string{"debian-11", "v5.10-*"}, Filesystem: []string{"tmpfs"}, Watch: []string{"FAN_*"},
		Verdict: []VerdictKind{VerdictUnsupported}, Why: "tmpfs has no f_fsid before 59cda49ecf6c (5.13)", Line: 23,
	}, s.Expect[1]); diff != "" {
		t.Error(diff)
	}
}

// minimal is a valid matrix whose lines a case replaces.
const minimal = `version: 1
name: m
kernels:
  - {name: k1, debian: {suite: sid}}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
`

func TestParseDefaultsWhatIsLeftOut(t *testing.T) {
	s, err := Parse("m", []byte(minimal), testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	if want := (Machine{2, 512 << 20, "auto", "", "amd64"}); s.Kernels[0].Machine != want {
		t.Errorf("machine %+v", s.Kernels[0].Machine)
	}
	if want := (Sampling{PressureAuto, 0.001, 0.95, 20 * time.Second}); s.Sampling != want {
		t.Errorf("sampling %+v", s.Sampling)
	}
}

func TestAKernelMayBeForAnotherArchitecture(t *testing.T) {
	in := strings.Replace(minimal, "kernels:", "machine: {cpu: Nehalem, memory: 1GiB}\nkernels:\n"+
		"  - {name: a, arch: arm64, debian: {suite: sid}}\n  - {name: b, arch: arm64, machine: {cpu: cortex-a72}, debian: {suite: sid}}\n"+
		"  - {name: c, arch: amd64, debian: {suite: sid}}", 1)
	s, err := Parse("m", []byte(in), testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []Machine{
		{2, 1 << 30, "auto", "", "arm64"}, // no model of amd64
		{2, 1 << 30, "auto", "cortex-a72", "arm64"},
		{2, 1 << 30, "auto", "Nehalem", "amd64"},
		{2, 1 << 30, "auto", "Nehalem", "amd64"},
	} {
		if s.Kernels[i].Machine != want {
			t.Errorf("%s: machine %+v, want %+v", s.Kernels[i].Name, s.Kernels[i].Machine, want)
		}
	}
	_, err = Parse("m", []byte(strings.Replace(minimal, "k1, ", "k1, arch: aarch64, ", 1)), testCatalog())
	if want := `m:4: kernels[0].arch: unknown architecture "aarch64"; known are amd64, arm64`; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestParseFollowsAliases(t *testing.T) {
	in := strings.Replace(minimal, "  - {name: k1, debian: {suite: sid}}", `  - name: k1
    debian: &deb {suite: sid}
    machine: &big {vcpus: 8, memory: 1GiB, accel: kvm, cpu: "Nehalem,+pcid"}
  - {name: k2, debian: *deb, machine: *big}`, 1)
	s, err := Parse("m", []byte(in), testCatalog())
	if err != nil {
		t.Fatal(err)
	}
	if s.Kernels[1].Config != s.Kernels[0].Config || s.Kernels[1].Machine != (Machine{8, 1 << 30, "kvm", "Nehalem,+pcid", "amd64"}) {
		t.Errorf("%+v", s.Kernels[1])
	}
}

func TestParseReportsProblems(t *testing.T) {
	const (
		kernel  = "  - {name: k1, debian: {suite: sid}}"
		watch   = "  - {name: IN_DELETE, inotify: [IN_DELETE]}"
		version = "version: 1"
	)
	for _, c := range []struct {
		name, old, new string
		want           []string // "m:LINE: PATH: WHAT", each the beginning of a line
	}{
		{"unknown key", version, "version: 1\nsampeling: {}", []string{`m:2: sampeling: unknown key "sampeling"; did you mean "sampling"?`}},
		{"duplicate key", version, "version: 1\nname: x", []string{`m:3: name: duplicate key "name", first on line 2; remove one`}},
		{"wrong version", version, "version: 2", []string{"m:1: version: is 2; this kqual reads version 1"}},
		{"version as text", version, "version: one", []string{`m:1: version: is the text "one"; write a whole number`}},
		{"no version", version + "\n", "", []string{"m:1: version: is missing; add a whole number"}},
		{"no kernels", "kernels:\n" + kernel + "\n", "", []string{"m:1: kernels: is missing; add a list"}},
		{"empty kernels", "kernels:\n" + kernel, "kernels: []", []string{"m:3: kernels: must not be empty; give a list"}},
		{"null filesystems", "[tmpfs]", "", []string{"m:5: filesystems: is empty; give a list"}},
		{"kernel without source", kernel, "  - {name: k1}", []string{"m:4: kernels[0]: has no source; add one of build, debian"}},
		{"kernel with two sources", kernel, "  - {name: k1, debian: {suite: sid}, build: {source: {}}}", []string{"m:4: kernels[0].build: is a second source besides debian; keep one"}},
		{"kernel with a misspelt source", kernel, "  - {name: k1, debain: {suite: sid}}", []string{`m:4: kernels[0].debain: unknown key "debain"; did you mean "debian"?`}},
		{"kernel source's own problem", kernel, "  - {name: k1, debian: {siute: sid}}", []string{"m:4: kernels[0].debian.siute: unknown key", "m:4: kernels[0].debian.suite: is missing; add text"}},
		{"kernel without name", kernel, "  - {debian: {suite: sid}}", []string{"m:4: kernels[0]: has no name; add name"}},
		{"kernel that is no mapping", kernel, "  - sid", []string{`m:4: kernels[0]: is the text "sid"; write a mapping`}},
		{"duplicate kernel", kernel, kernel + "\n" + kernel, []string{`m:5: kernels[1].name: duplicate kernel "k1", first on line 4; rename or remove one`}},
		{"slash in a name", "name: k1", "name: a/b", []string{`m:4: kernels[0].name: "a/b" contains a slash`}},
		{"control character in a name", "name: k1", `name: "a\tb"`, []string{`m:4: kernels[0].name: "a\tb" contains a character that does not print`}},
		{"long name", "name: k1", "name: " + strings.Repeat("x", 65), []string{"m:4: kernels[0].name: has 65 characters; use at most 64"}},
		{"empty name", "name: k1", `name: ""`, []string{"m:4: kernels[0].name: is empty; give a name"}},
		{"machine of a kernel", "suite: sid}", "suite: sid}, machine: {vcpus: 0, memory: 1MiB, accel: hvf, cpu: qemu64 -S}", []string{
			`m:4: kernels[0].machine.accel: unknown accelerator "hvf"; known are auto, kvm, tcg`,
			`m:4: kernels[0].machine.cpu: is "qemu64 -S"; write a CPU model of QEMU's, as in qemu64 or Nehalem,+pcid`,
			"m:4: kernels[0].machine.memory: is 1048576 bytes; write 64MiB to 1TiB",
			"m:4: kernels[0].machine.vcpus: is 0; write 1 to 64",
		}},
		{"too many vcpus", version, "version: 1\nmachine: {vcpus: 65}", []string{"m:2: machine.vcpus: is 65; write 1 to 64"}},
		{"memory in a wrong unit", version, "version: 1\nmachine: {memory: 512MB}", []string{`m:2: machine.memory: is the text "512MB"; write a size such as 512MiB`}},
		{"sampling out of range", version, "version: 1\nsampling: {detection_limit: 0, confidence: 95, max_time: 0s, pressure: 1001}", []string{
			"m:2: sampling.confidence: is 95; write a share above 50% and below 100%",
			"m:2: sampling.detection_limit: is 0; write a share above 0 and below 1",
			"m:2: sampling.max_time: is 0s; write a duration above 0",
			"m:2: sampling.pressure: is the number 1001; write auto or a whole number of extra groups, 0 to 1000",
		}},
		{"not a number", version, "version: 1\nsampling: {detection_limit: NaN%}", []string{`m:2: sampling.detection_limit: is the text "NaN%"; write a share`}},
		{"too many trials", version, "version: 1\nsampling: {detection_limit: 1e-12}", []string{"m:2: sampling: a clean cell would need 3.29e+12 decisive trials"}},
		{"duration without unit", version, "version: 1\nsampling: {max_time: 20}", []string{`m:2: sampling.max_time: "20" is no duration; write a number and a unit`}},
		{"unknown filesystem", "[tmpfs]", "[tmpsf]", []string{`m:5: filesystems[0]: unknown filesystem "tmpsf"; did you mean "tmpfs"?`}},
		{"duplicate filesystem", "[tmpfs]", "[tmpfs, tmpfs]", []string{`m:5: filesystems[1]: duplicate filesystem "tmpfs", first on line 5`}},
		{"unknown scenario", "[unlink]", "[unlnk]", []string{`m:6: scenarios[0]: unknown scenario "unlnk"; did you mean "unlink"?`}},
		{"unknown flag", "[IN_DELETE]}", "[IN_DELET]}", []string{`m:8: watches[0].inotify[0]: unknown inotify flag "IN_DELET"; did you mean "IN_DELETE"?`}},
		{"duplicate flag", "[IN_DELETE]}", "[IN_DELETE, IN_DELETE]}", []string{`m:8: watches[0].inotify[1]: duplicate flag "IN_DELETE"`}},
		{"flag in the wrong group", watch, "  - {name: F, fanotify: {mask: [FAN_DELETE, FAN_REPORT_DFID_NAME]}}", []string{"m:8: watches[0].fanotify.mask[1]: flag FAN_REPORT_DFID_NAME is none of mask; move it to init"}},
		{"missing group", watch, "  - {name: F, fanotify: {init: [FAN_REPORT_DFID_NAME]}}", []string{"m:8: watches[0].fanotify: has no mask; add mask: [FAN_DELETE]"}},
		{"empty mask", "[IN_DELETE]}", "[]}", []string{"m:8: watches[0].inotify: is an empty list; write [IN_DELETE]"}},
		{"scalar flags", "[IN_DELETE]}", "IN_DELETE}", []string{`m:8: watches[0].inotify: is the text "IN_DELETE"; write a list of flags such as [IN_DELETE]`}},
		{"unknown flag group", watch, "  - {name: F, fanotify: {mask: [FAN_DELETE], inti: []}}", []string{`m:8: watches[0].fanotify.inti: unknown flag group "inti"; did you mean "init"?`}},
		{"unknown check", "[IN_DELETE]}", "[IN_DELETE], check: nlnk}", []string{`m:8: watches[0].check: unknown check "nlnk"; did you mean "nlink"?`}},
		{"check that cannot work", "[IN_DELETE]}", "[IN_DELETE], check: target_fid}", []string{"m:8: watches[0].check: needs the deleted file's handle"}},
		{"flags that exclude each other", "[IN_DELETE]}", "[IN_MASK_ADD, IN_MASK_CREATE]}", []string{"m:8: watches[0].inotify: IN_MASK_ADD and IN_MASK_CREATE exclude each other"}},
		{"watch without source", watch, "  - {name: w}", []string{"m:8: watches[0]: has no event source; add one of fanotify, inotify"}},
		{"watch with two sources", watch, "  - {name: w, inotify: [IN_DELETE], fanotify: [FAN_DELETE]}", []string{"m:8: watches[0].fanotify: is a second event source besides inotify"}},
		{"unknown event source", watch, "  - {name: w, inotfy: [IN_DELETE]}", []string{`m:8: watches[0].inotfy: unknown key "inotfy"; did you mean "inotify"?`}},
		{"rule without why", watch, watch + "\nexpect: [{verdict: clean}]", []string{"m:9: expect[0].why: is missing; add text"}},
		{"rule with an empty why", watch, watch + "\nexpect: [{verdict: clean, why: ''}]", []string{"m:9: expect[0].why: must not be empty"}},
		{"unknown verdict", watch, watch + "\nexpect: [{verdict: [clean, afected], why: x}]", []string{`m:9: expect[0].verdict[1]: unknown verdict "afected"; did you mean "affected"?`}},
		{"pattern that matches nothing", watch, watch + "\nexpect: [{kernel: k2, watch: [IN_*, FAN_*], verdict: clean, why: x}]", []string{
			`m:9: expect[0].kernel: "k2" matches no kernel of the matrix; did you mean "k1"?`,
			`m:9: expect[0].watch[1]: "FAN_*" matches no watch of the matrix`,
		}},
		{"control without a watch", watch, watch + "\ncontrols: [{kernel: k1, verdict: clean, why: x}]", []string{"m:9: controls[0].watch: is missing; name the watch whose answer is known"}},
		{"control without a kernel", watch, watch + "\ncontrols: [{watch: IN_DELETE, verdict: clean, why: x}]", []string{"m:9: controls[0].kernel: is missing; name the kernel"}},
		{"control that holds", watch, watch + "\ncontrols: [{kernel: k1, watch: IN_DELETE, verdict: holds, why: x}]", []string{"m:9: controls[0].verdict: is holds; a control must be affected or clean"}},
		{"control of two verdicts", watch, watch + "\ncontrols: [{kernel: k1, watch: IN_DELETE, verdict: [affected, clean], why: x}]", []string{"m:9: controls[0].verdict: is affected and clean; a control must be affected or clean"}},
		{"control that matches nothing", watch, watch + "\ncontrols: [{kernel: k2, watch: IN_DELETE, verdict: clean, why: x}]", []string{`m:9: controls[0].kernel: "k2" matches no kernel of the matrix`}},
		{"control without why", watch, watch + "\ncontrols: [{kernel: k1, watch: IN_DELETE, verdict: clean}]", []string{"m:9: controls[0].why: is missing; add text"}},
		{"misspelt key of a control", watch, watch + "\ncontrols: [{kernel: k1, watch: IN_DELETE, verdit: clean, why: x}]", []string{`m:9: controls[0].verdict: is missing`, `m:9: controls[0].verdit: unknown key "verdit"; did you mean "verdict"?`}},
		{"controls that contradict", watch, watch + "\ncontrols:\n- {kernel: k1, watch: IN_*, verdict: clean, why: x}\n- {kernel: k*, watch: IN_DELETE, verdict: affected, why: x}", []string{"m:11: controls: k1/tmpfs/unlink/IN_DELETE must be affected here and clean on line 10; narrow one of them"}},
		{"merge key", kernel, "  - {name: k1, debian: {<<: {suite: sid}, suite: sid}}", []string{"m:4: kernels[0].debian: merge keys (<<) are not supported"}},
		{"truth value as text", "suite: sid", "suite: true", []string{"m:4: kernels[0].debian.suite: is the truth value true; write text in quotes"}},
		{"two documents", watch, watch + "\n---\nversion: 1\n", []string{"m:9: a second document begins"}},
		{"syntax error", watch, "  - {name: IN_DELETE", []string{"m:7: not valid YAML: did not find expected"}},
		{"unknown anchor", kernel, "  - *k", []string{"m:4: not valid YAML: alias *k has no anchor; define &k above it"}},
		{"control character", kernel, kernel + "\n\x01", []string{"m:5: not valid YAML: control characters are not allowed"}},
		{"empty file", minimal, "", []string{"m:1: the file is empty; start with version: 1"}},
		{"comments only", minimal, "# nothing\n", []string{"m:1: the file is empty; start with version: 1"}},
		{"a list", minimal, "- 1\n", []string{"m:1: the file is a list; write a mapping"}},
		{"self-containing alias", minimal, "a: &a [*a]\n", []string{"m:1: the aliases contain themselves"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(minimal, c.old) {
				t.Fatalf("minimal does not contain %q", c.old)
			}
			_, err := Parse("m", []byte(strings.Replace(minimal, c.old, c.new, 1)), testCatalog())
			var pe *ParseError
			if !errors.As(err, &pe) {
				t.Fatalf("error %v, want a *ParseError", err)
			}
			got := strings.Split(pe.Error(), "\n")
			ok := len(got) == len(c.want)
			for i := range min(len(got), len(c.want)) {
				ok = ok && strings.HasPrefix(got[i], c.want[i])
			}
			if !ok {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
			for _, line := range got {
				if strings.HasSuffix(line, ".") || strings.HasSuffix(line, "; ") {
					t.Errorf("%q ends badly", line)
				}
			}
		})
	}
}

func TestParseReportsEverythingAtOnceInOrderOfLines(t *testing.T) {
	in := strings.NewReplacer("version: 1", "version: 9", "[tmpfs]", "[nofs]", "[unlink]", "[noscenario]", "suite: sid", "siute: sid").Replace(minimal)
	_, err := Parse("m", []byte(in), testCatalog())
	var pe *ParseError
	if !errors.As(err, &pe) {
		t.Fatal(err)
	}
	var lines []int
	for _, p := range pe.Problems {
		lines = append(lines, p.Line)
	}
	if want := []int{1, 4, 4, 5, 6}; !slices.Equal(lines, want) {
		t.Errorf("lines %v, want %v\n%v", lines, want, err)
	}
}

func TestParseRefusesAliasBombs(t *testing.T) {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 9; i++ {
		d := string(rune('0' + i))
		p := "*a" + string(rune('0'+i-1))
		b.WriteString("a" + d + ": &a" + d + " [" + strings.Repeat(p+",", 9) + p + "]\n")
	}
	_, err := Parse("m", []byte(b.String()), testCatalog())
	if err == nil || !strings.Contains(err.Error(), "write them out") {
		t.Errorf("got %v", err)
	}
}

func TestParseAcceptsPatternsForControls(t *testing.T) {
	in := strings.Replace(minimal, "  - {name: IN_DELETE, inotify: [IN_DELETE]}",
		"  - {name: w, inotify: [IN_DELETE], check: nlink}\nexpect: [{watch: IN_DELETE, verdict: affected, why: x}]", 1)
	if _, err := Parse("m", []byte(in), testCatalog()); err != nil {
		t.Error(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(designMatrix(f))
	f.Add([]byte(minimal))
	for _, s := range []string{
		"", "a: &a [*a]", "version: 1\nkernels: [*x]", "? [a]\n: b", "<<: 1", "!!binary x: y", "--- a\n--- b",
		"version: 0x1\nname: [", "watches: [{inotify: {mask: null}}]", "expect: [{kernel: '[', verdict: '', why: 1}]",
		"&a {kernels: [{name: x, machine: *a}]}", "version: 1\n!!set {a, b}", "sampling: {detection_limit: 1e-320%}",
	} {
		f.Add([]byte(s))
	}
	cat := testCatalog()
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Parse("m", data, cat)
		var pe *ParseError
		switch {
		case err == nil:
			if len(s.Kernels) == 0 || len(s.Watches) == 0 || len(s.Filesystems) == 0 || len(s.Scenarios) == 0 {
				t.Errorf("accepted an empty matrix: %+v", s)
			}
			if _, err := NewPlan(s, cat, Selection{}); err != nil && !strings.Contains(err.Error(), "no cell") {
				t.Errorf("plan: %v", err)
			}
		case !errors.As(err, &pe) || len(pe.Problems) == 0:
			t.Errorf("error %v is no *ParseError with problems", err)
		default:
			lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
			for _, p := range pe.Problems {
				if p.Line < 0 || p.What == "" {
					t.Errorf("problem %+v of a file with %d lines", p, lines)
				}
			}
		}
	})
}
