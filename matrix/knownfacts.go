package matrix

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Change is a commit that decides answers, with every release that carries it.
type Change struct {
	Name     string   // as findings call it
	Commit   string   // mainline, twelve digits
	Mainline string   // the first tag that has it
	Stable   []string // the first stable release of each older series that has it
}

// The changes that kqual knows. Everything that rests on a version number
// instead of a boot rests on this list.
var (
	// fsnotify: move fsnotify_nameremove() hook out of d_delete().
	changeRegression = Change{Name: "the regression", Commit: "49246466a989", Mainline: "5.3-rc1"}
	// fsnotify: invalidate dcache before IN_DELETE event. The stable releases are
	// those that also have its companion 29044dae2e74 for pseudo filesystems.
	changeFix = Change{
		Name: "the fix", Commit: "a37d9a17f099", Mainline: "5.17-rc2",
		Stable: []string{"5.4.176", "5.10.96", "5.15.19", "5.16.5"},
	}
	// An event carries the file handle of the object that it is about.
	changeTargetFID = Change{
		Name: "FAN_REPORT_TARGET_FID", Commit: "d61fd650e9d2", Mainline: "5.17-rc1",
		Stable: []string{"5.10.220", "5.15.154"},
	}
)

// lastMinor has the last release of every finished major version, so that
// untested releases between two series can be counted. Source: the tags of
// mainline.
var lastMinor = map[int]int{3: 19, 4: 20, 5: 19, 6: 19}

// Where the known facts speak: a name that vfs_unlink or vfs_rmdir takes away
// (fs/namei.c). Renames send no IN_DELETE; pseudo filesystems have hooks of
// their own, and overlayfs drops the dentry itself.
var (
	factScenarios   = []string{"unlink", "rmdir", "hardlink", "batch", "recreate", "open-writer"}
	factExceptFiles = []string{"overlay", "devpts", "debugfs", "tracefs", "configfs", "nfsd", "rpc_pipefs", "fuse*", "9p", "nfs*"}
)

func factsApply(filesystem, scenario string) bool {
	return slices.Contains(factScenarios, scenario) && !slices.ContainsFunc(factExceptFiles, func(p string) bool { return matchGlob(p, filesystem) })
}

// mustVersion is for the constants of this file.
func mustVersion(s string) Version {
	v, err := ParseVersion(s)
	if err != nil {
		panic(err)
	}
	return v
}

// Carrier is the release by which v has the change: the mainline tag or the
// stable release of its own series. It is "" where v has it by no release that
// is known, which leaves a vendor's backport.
func (c Change) Carrier(v Version) string {
	if v.Compare(mustVersion(c.Mainline)) >= 0 {
		return c.Mainline
	}
	if s := c.stable(v); s != "" && v.Compare(mustVersion(s)) >= 0 {
		return s
	}
	return ""
}

// stable is the first release of v's series that has the change as a backport,
// or "".
func (c Change) stable(v Version) string {
	for _, s := range c.Stable {
		if mustVersion(s).Series() == v.Series() {
			return s
		}
	}
	return ""
}

// KernelFact compares what a kernel's version promises with what was seen.
type KernelFact struct {
	Kernel  string `json:"kernel"`
	Version string `json:"version,omitempty"`
	// Expected is the answer of a plain watch by version; "" where the version
	// promises nothing.
	Expected VerdictKind `json:"expected,omitempty"`
	Why      string      `json:"why"` // for Expected, or for there being none
	// Observed is the answer of the plain watches where the facts apply; "" where
	// there is none.
	Observed VerdictKind `json:"observed,omitempty"`
	// Contradicts says that both are there and differ.
	Contradicts bool `json:"contradicts,omitempty"`
	// Backports are the changes that the kernel has and mainline of its version
	// has not.
	Backports []string `json:"backports,omitempty"`
}

// promise is what the version alone says about a plain watch.
func promise(v Version) (VerdictKind, string) {
	if changeRegression.Carrier(v) == "" {
		return VerdictClean, fmt.Sprintf("before %s (%s)", changeRegression.Commit, changeRegression.Mainline)
	}
	if c := changeFix.Carrier(v); c != "" {
		return VerdictClean, fmt.Sprintf("%s since %s", changeFix.Commit, c)
	}
	if s := changeFix.stable(v); s != "" {
		return VerdictAffected, fmt.Sprintf("%s since %s, fixed in %s", changeRegression.Commit, changeRegression.Mainline, s)
	}
	return VerdictAffected, fmt.Sprintf("%s since %s, never fixed in %s", changeRegression.Commit, changeRegression.Mainline, v.Series())
}

// KernelFacts compares every kernel with the known facts, oldest first.
func KernelFacts(runs []KernelRun, verdicts [][]Verdict, cat Catalog) []KernelFact {
	f := newFinder(runs, verdicts, Sampling{}, cat)
	var out []KernelFact
	for _, k := range f.kernels {
		out = append(out, f.fact(k))
	}
	return out
}

func (f *finder) fact(k orderedKernel) KernelFact {
	fact := KernelFact{Kernel: k.run.Kernel, Observed: f.observed(k)}
	patches := k.run.Provenance.Details[DetailPatches]
	switch {
	case !k.known:
		fact.Why = "its version is not known"
		return fact
	case patches != "":
		fact.Version = k.version.String()
		fact.Why = "patched: " + patches
		return fact
	case k.hidden():
		fact.Version = k.version.String()
		fact.Why = "its release does not name the stable release it is made from"
		return fact
	}
	fact.Version = k.version.Upstream()
	fact.Expected, fact.Why = promise(k.version)
	fact.Contradicts = fact.Observed != "" && fact.Observed != fact.Expected
	if fact.Observed == VerdictClean && changeRegression.Carrier(k.version) != "" {
		fact.Backports = append(fact.Backports, backport(changeFix, k.version)...)
	}
	if f.hasTargetFID(k) {
		fact.Backports = append(fact.Backports, backport(changeTargetFID, k.version)...)
	}
	return fact
}

// backport says by which release an older kernel has a change, or nothing.
func backport(c Change, v Version) []string {
	mainline := mustVersion(c.Mainline)
	if v.Compare(mainline) >= 0 || v.Series() == mainline.Series() {
		return nil
	}
	text := fmt.Sprintf("%s (mainline only from %s", c.Name, c.Mainline)
	switch s := c.stable(v); {
	case c.Carrier(v) != "":
		text += "; stable since " + s + ")"
	case s != "":
		text += "; stable only from " + s + ": a vendor's backport)"
	default:
		text += "; in no stable " + v.Series() + ": a vendor's backport)"
	}
	return []string{text}
}

// hidden says that the version comes from uname -r of a distribution's kernel:
// Debian's 5.10.0-32-cloud-amd64 is made from 5.10.223.
func (k orderedKernel) hidden() bool {
	if k.run.Provenance.Version != "" {
		return false
	}
	numbers := k.version.numbers
	return len(numbers) == 3 && strings.Trim(numbers[2], "0") == "" && k.version.local+k.version.rev != ""
}

// observed is what the plain watches of a kernel say where the facts apply:
// affected where any is, else clean where any is.
func (f *finder) observed(k orderedKernel) VerdictKind {
	var out VerdictKind
	for i, c := range k.run.Cells {
		if i >= len(k.verdicts) || !f.cat.IsPlain(c.Cell.Watch) || !factsApply(c.Cell.Filesystem, c.Cell.Scenario) {
			continue
		}
		switch k.verdicts[i].Kind {
		case VerdictAffected:
			return VerdictAffected
		case VerdictClean:
			out = VerdictClean
		}
	}
	return out
}

// hasTargetFID says that the kernel took a watch with the flag.
func (f *finder) hasTargetFID(k orderedKernel) bool {
	for _, c := range k.run.Cells {
		if c.Outcome == nil || c.Outcome.Status != Measured {
			continue
		}
		for _, flag := range c.Cell.Watch.Flags["init"] {
			if flag == "FAN_REPORT_DFID_NAME_TARGET" || flag == "FAN_REPORT_TARGET_FID" {
				return true
			}
		}
	}
	return false
}

// seriesBetween lists the mainline series after a and before b, or nil where
// the list of releases does not say.
func seriesBetween(a, b string) []string {
	major, minor, ok := splitSeries(a)
	toMajor, toMinor, ok2 := splitSeries(b)
	if !ok || !ok2 {
		return nil
	}
	var out []string
	for {
		minor++
		if last, done := lastMinor[major]; done && minor > last {
			major, minor = major+1, 0
		}
		if major > toMajor || major == toMajor && minor >= toMinor {
			return out
		}
		if _, done := lastMinor[major]; !done && major < toMajor {
			return nil
		}
		out = append(out, fmt.Sprintf("%d.%d", major, minor))
	}
}

func splitSeries(s string) (major, minor int, ok bool) {
	a, b, _ := strings.Cut(s, ".")
	major, err := strconv.Atoi(a)
	if err != nil || len(a) > 3 || len(b) > 3 {
		return 0, 0, false
	}
	minor, err = strconv.Atoi(b)
	return major, minor, err == nil
}
