package runner

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"kqual/matrix"
)

const exclUnlink = "build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected, excl-unlink]}"

// watchMatrix is one kernel with the given watches.
func watchMatrix(kernel, filesystem, watches string) string {
	return fmt.Sprintf(`version: 1
name: test
sampling: {detection_limit: 0.5%%}
kernels:
  - name: k
    %s
filesystems: [%s]
scenarios: [unlink]
watches:
%s`, kernel, filesystem, watches)
}

func TestTheExampleOfWatchesIsValid(t *testing.T) {
	text, err := os.ReadFile("../matrices/watches.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := matrix.Parse("watches.yaml", text, testCatalog()); err != nil {
		t.Error(err)
	}
}

// One opted-in group protects those told after it and no others; and without
// the patch it protects nobody.
func TestVMABystanderProtectsWhoeverIsToldAfterIt(t *testing.T) {
	needVM(t)
	const watches = `  - {name: plain, inotify: [IN_DELETE]}
  - {name: before, inotify: [IN_DELETE], bystander: {inotify: [IN_DELETE, IN_EXCL_UNLINK], told: before}}
  - {name: after, inotify: [IN_DELETE], bystander: {inotify: [IN_DELETE, IN_EXCL_UNLINK], told: after}}
`
	for _, tt := range []struct {
		name, kernel string
		before       matrix.VerdictKind
	}{
		{"patched", exclUnlink, matrix.VerdictHolds},
		{"unpatched", affected, matrix.VerdictAffected},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg, cat := testRun(t, watchMatrix(tt.kernel, "tmpfs", watches))
			wantVerdicts(t, verdicts(t, cfg, cat), map[string]matrix.VerdictKind{
				"tmpfs plain": matrix.VerdictAffected, "tmpfs before": tt.before, "tmpfs after": matrix.VerdictAffected,
			})
		})
	}
}

// Flags of the interfaces change who is told and how, never the race; what the
// kernel cannot do it refuses.
func TestVMWatchFlagsBehaveAsInAnApplication(t *testing.T) {
	needVM(t)
	cfg, cat := testRun(t, watchMatrix(affected, "ext4", `  - {name: plain, inotify: [IN_DELETE]}
  - {name: oneshot, inotify: [IN_DELETE, IN_ONESHOT]}
  - {name: modifiers, inotify: [IN_DELETE, IN_ONLYDIR, IN_DONT_FOLLOW, IN_MASK_ADD]}
  - {name: oneshot+create, inotify: [IN_DELETE, IN_ONESHOT, IN_MASK_CREATE]}
  - {name: inode, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_DELETE]}}
  - {name: filesystem, fanotify: {init: [FAN_REPORT_DFID_NAME], mark: [FAN_MARK_FILESYSTEM], mask: [FAN_DELETE]}}
  - {name: mount, fanotify: {init: [FAN_REPORT_DFID_NAME], mark: [FAN_MARK_MOUNT], mask: [FAN_DELETE]}}
  - {name: descriptor, fanotify: {init: [FAN_CLASS_NOTIF], mask: [FAN_DELETE]}}
`))
	wantVerdicts(t, verdicts(t, cfg, cat), map[string]matrix.VerdictKind{
		"ext4 plain": matrix.VerdictAffected, "ext4 oneshot": matrix.VerdictAffected,
		"ext4 modifiers": matrix.VerdictAffected, "ext4 oneshot+create": matrix.VerdictAffected,
		"ext4 inode": matrix.VerdictAffected, "ext4 filesystem": matrix.VerdictAffected,
		"ext4 mount": matrix.VerdictUnsupported, "ext4 descriptor": matrix.VerdictUnsupported,
	})
}

// An application without privilege meets the race as root does; what the kernel
// keeps for root it refuses (EPERM).
func TestVMWatchersWithoutPrivilegeMeetTheRaceToo(t *testing.T) {
	needVM(t)
	const watches = `  - {name: user, uid: 1000, inotify: [IN_DELETE]}
  - {name: user+nlink, uid: 1000, inotify: [IN_DELETE], check: nlink}
  - {name: user+fan, uid: 1000, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_DELETE]}}
  - {name: user+fid, uid: 1000, fanotify: {init: [FAN_REPORT_DFID_NAME_TARGET], mask: [FAN_DELETE, FAN_ONDIR]}, check: target_fid}
  - {name: user+filesystem, uid: 1000, fanotify: {init: [FAN_REPORT_DFID_NAME], mark: [FAN_MARK_FILESYSTEM], mask: [FAN_DELETE]}}
  - {name: user+unlimited, uid: 1000, fanotify: {init: [FAN_REPORT_DFID_NAME, FAN_UNLIMITED_QUEUE], mask: [FAN_DELETE]}}
`
	cfg, cat := testRun(t, watchMatrix(affected, "ext4", watches))
	got := verdicts(t, cfg, cat)
	wantVerdicts(t, got, map[string]matrix.VerdictKind{
		"ext4 user": matrix.VerdictAffected, "ext4 user+nlink": matrix.VerdictHolds,
		"ext4 user+fan": matrix.VerdictAffected, "ext4 user+fid": matrix.VerdictHolds,
		"ext4 user+filesystem": matrix.VerdictUnsupported, "ext4 user+unlimited": matrix.VerdictUnsupported,
	})
	for _, cell := range []string{"ext4 user+filesystem", "ext4 user+unlimited"} {
		if !strings.HasSuffix(got[cell].Reason, "EPERM") {
			t.Errorf("%s: %s", cell, got[cell].Reason)
		}
	}
}

// FAN_RENAME has both names of a rename in one event; the other events of a
// rename have one each. A rename never was broken.
func TestVMEveryEventOfARenameDecides(t *testing.T) {
	needVM(t)
	const watches = `  - {name: rename, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_RENAME]}}
  - {name: move, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_MOVE]}}
  - {name: moved-to, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_MOVED_TO]}}
  - {name: moved-from, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_MOVED_FROM]}}
  - {name: all, inotify: [IN_ALL_EVENTS]}
`
	for name, kernel := range map[string]string{"affected": affected, "6.1": debian12} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(watchMatrix(kernel, "ext4", watches), "[unlink]", "[rename-over, moved-from]", 1)
			cfg, cat := testRun(t, text)
			cells := 0
			judgedRun(t, cfg, cat, func(c matrix.CellRun, v matrix.Verdict) {
				cells++
				if v.Kind != matrix.VerdictClean {
					t.Errorf("%s %s: %s", c.Cell.Scenario, c.Cell.Watch.Name, matrix.VerdictText(v))
				}
			})
			if cells != 8 {
				t.Errorf("%d cells, want 8: moved-to and moved-from have one scenario each", cells)
			}
		})
	}
}

// What is about mounts tells nothing of names: the kernel refuses it beside
// FAN_DELETE, one that knows it as one that does not.
func TestVMFlagsAboutMountsAreRefused(t *testing.T) {
	needVM(t)
	for name, kernel := range map[string]string{"5.10": affected, "7.x": debian13Backports} {
		t.Run(name, func(t *testing.T) {
			cfg, cat := testRun(t, watchMatrix(kernel, "ext4", `  - {name: namespace, fanotify: {init: [FAN_REPORT_DFID_NAME], mark: [FAN_MARK_MNTNS], mask: [FAN_DELETE]}}
  - {name: report, fanotify: {init: [FAN_REPORT_DFID_NAME, FAN_REPORT_MNT], mask: [FAN_DELETE]}}
  - {name: attach, fanotify: {init: [FAN_REPORT_DFID_NAME], mask: [FAN_DELETE, FAN_MNT_ATTACH, FAN_MNT_DETACH]}}
`))
			got := verdicts(t, cfg, cat)
			wantVerdicts(t, got, map[string]matrix.VerdictKind{
				"ext4 namespace": matrix.VerdictUnsupported, "ext4 report": matrix.VerdictUnsupported, "ext4 attach": matrix.VerdictUnsupported,
			})
			for _, cell := range []string{"ext4 namespace", "ext4 report", "ext4 attach"} {
				if !strings.HasSuffix(got[cell].Reason, "EINVAL") {
					t.Errorf("%s: %s", cell, got[cell].Reason)
				}
			}
		})
	}
}

func wantVerdicts(t *testing.T, got map[string]matrix.Verdict, want map[string]matrix.VerdictKind) {
	t.Helper()
	for cell, kind := range want {
		if got[cell].Kind != kind {
			t.Errorf("%s: %s, want %s", cell, matrix.VerdictText(got[cell]), kind)
		}
		t.Logf("%s: %s", cell, matrix.VerdictText(got[cell]))
	}
}
