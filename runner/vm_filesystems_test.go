package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"kqual/matrix"
)

// targetFID is the watch that coreMatrix leaves out: what it meets depends on
// the filesystem.
const targetFID = "  - {name: FAN_DELETE+target_fid, fanotify: {init: [FAN_REPORT_DFID_NAME_TARGET], mask: [FAN_DELETE, FAN_ONDIR]}, check: target_fid}\n"

// everywhere lists the filesystems on which an unlink can be measured.
var everywhere = []string{"tmpfs", "ext4", "xfs", "btrfs", "vfat", "overlay-upper", "overlay"}

// perFilesystem measures the core watches and target_fid on filesystems and
// returns filesystem → watch → verdict.
func perFilesystem(t *testing.T, kernel string, filesystems []string) map[string]map[string]matrix.Verdict {
	t.Helper()
	cfg, cat := testRun(t, coreMatrix(kernel, strings.Join(filesystems, ", "), quick)+targetFID)
	runs, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]matrix.Verdict{}
	for i, v := range matrix.Judge(runs[0], cfg.Sampling, cat) {
		c := runs[0].Cells[i].Cell
		if got[c.Filesystem] == nil {
			got[c.Filesystem] = map[string]matrix.Verdict{}
		}
		got[c.Filesystem][c.Watch.Name] = v
		t.Logf("%s %s: %s %s", c.Filesystem, c.Watch.Name, matrix.VerdictText(v), v.Reason)
	}
	return got
}

func wantKinds(t *testing.T, got map[string]map[string]matrix.Verdict, want map[string]map[string]matrix.VerdictKind) {
	t.Helper()
	for _, fs := range slices.Sorted(maps.Keys(want)) {
		for watch, kind := range want[fs] {
			if v := got[fs][watch]; v.Kind != kind {
				t.Errorf("%s %s: %s, want %s: %s", fs, watch, matrix.VerdictText(v), kind, v.Reason)
			}
		}
	}
}

// 49246466a989 is in fs/namei.c, above every filesystem: only overlayfs, which
// drops the dentry itself, gets away.
func TestVMTheRegressionShowsOnEveryFilesystem(t *testing.T) {
	needVM(t)
	const a, h, c, u = matrix.VerdictAffected, matrix.VerdictHolds, matrix.VerdictClean, matrix.VerdictUnsupported
	row := func(plain, check, fid matrix.VerdictKind) map[string]matrix.VerdictKind {
		return map[string]matrix.VerdictKind{
			"IN_DELETE": plain, "IN_DELETE+EXCL_UNLINK": plain, "IN_DELETE+nlink": check, "IN_DELETE+getdents": check,
			"FAN_DELETE+target_fid": fid,
		}
	}
	want := map[string]map[string]matrix.VerdictKind{
		"tmpfs": row(a, h, u), "overlay": row(c, c, u),
	}
	for _, fs := range []string{"ext4", "xfs", "btrfs", "vfat", "overlay-upper"} {
		want[fs] = row(a, h, h)
	}
	wantKinds(t, perFilesystem(t, affected, everywhere), want)
}

// matrices/filesystems.yaml has the same of later kernels, and rmdir (make full).
func TestVMAFixedKernelIsCleanOnEveryFilesystem(t *testing.T) {
	needVM(t)
	for fs, row := range perFilesystem(t, debian11, everywhere) {
		for watch, v := range row {
			// Whether FID marks exist depends on kernel and filesystem.
			refused := v.Kind == matrix.VerdictUnsupported && strings.HasPrefix(watch, "FAN_")
			if v.Kind != matrix.VerdictClean && !refused {
				t.Errorf("%s %s: %s: %s", fs, watch, matrix.VerdictText(v), v.Reason)
			}
		}
	}
}

// A kernel whose modules are missing does not have what it would load.
func TestVMAFilesystemTheKernelLacksIsUnsupported(t *testing.T) {
	needVM(t)
	kernel := fmt.Sprintf("file: {vmlinuz: %s}", image(t, debian11).Vmlinuz)
	for fs, row := range perFilesystem(t, kernel, []string{"xfs", "btrfs", "vfat"}) {
		for watch, v := range row {
			if v.Kind != matrix.VerdictUnsupported || !strings.Contains(v.Reason, "ENODEV") {
				t.Errorf("%s %s: %s: %s", fs, watch, matrix.VerdictText(v), v.Reason)
			}
		}
	}
}
