package runner

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
)

// A real kernel that panics in one cell and hangs with interrupts off in
// another: both get their second chance, and the cells around them get answers
// that rest on the plain watch of the same boot.
func TestVMACellThatTakesTheKernelDownCostsThatCell(t *testing.T) {
	needVM(t)
	slack := recordSlack
	recordSlack = 2 * time.Second
	defer func() { recordSlack = slack }()
	patch, err := filepath.Abs("testdata/patches/crash.patch")
	if err != nil {
		t.Fatal(err)
	}
	cfg, cat := testRun(t, `version: 1
name: crash
sampling: {max_time: 2s}
kernels:
  - name: crash
    build: {source: {debian: {suite: bullseye, package: linux-source-5.10}}, config: [tiny], patches: [affected, `+patch+`]}
    allow: [{log: "WARNING: * at fs/notify/inotify/*", why: "the patch asks for it"}]
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: warns, inotify: [IN_DELETE, IN_MASK_ADD]}
  - {name: panics, inotify: [IN_DELETE, IN_ONLYDIR]}
  - {name: nlink, inotify: [IN_DELETE], check: nlink}
  - {name: hangs, inotify: [IN_DELETE, IN_MASK_CREATE]}
  - {name: getdents, inotify: [IN_DELETE], check: getdents}
`)
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	kr := runs[0]
	verdicts := matrix.Judge(kr, cfg.Sampling, cat)
	want := map[string]matrix.VerdictKind{
		"IN_DELETE": matrix.VerdictAffected, "warns": matrix.VerdictAffected, "panics": matrix.VerdictError, "nlink": matrix.VerdictHolds,
		"hangs": matrix.VerdictError, "getdents": matrix.VerdictHolds,
	}
	for i, c := range kr.Cells {
		name := c.Cell.Watch.Name
		if verdicts[i].Kind != want[name] {
			t.Errorf("%s: %s, want %s", name, matrix.VerdictText(verdicts[i]), want[name])
		}
		if c.Error != nil && len(c.Ended) != maxStrikes {
			t.Errorf("%s: %d boots ended in it", name, len(c.Ended))
		}
		t.Logf("%s: boot %d, %s", name, c.Boot, matrix.VerdictText(verdicts[i]))
	}
	if why := kr.Cells[2].Error; why == nil || !strings.Contains(why.Reason, "panic: Kernel panic - not syncing: IN_ONLYDIR was asked for") {
		t.Errorf("the panic is told as %+v", why)
	}
	if why := kr.Cells[4].Error; why == nil || !strings.Contains(why.Reason, "deadline: no record for") {
		t.Errorf("the hang is told as %+v", why)
	}
	if n := verdicts[1].Footnotes; len(n) != 1 || !strings.HasPrefix(n[0], "1 × WARNING in the kernel's log: WARNING: CPU: ") ||
		!strings.HasSuffix(n[0], " (allowed: the patch asks for it)") {
		t.Errorf("the warning is told as %q", n)
	}
	for _, i := range []int{0, 3, 5} {
		if n := verdicts[i].Footnotes; len(n) > 0 {
			t.Errorf("%s: %q", kr.Cells[i].Cell.Watch.Name, n)
		}
	}
	if len(kr.Boots) != 4 {
		t.Errorf("%d boots, want one for each time that a culprit ran", len(kr.Boots))
	}
	logs := map[string]bool{}
	for _, b := range kr.Boots {
		logs[b.ConsoleLog] = true
	}
	if len(logs) != len(kr.Boots) {
		t.Errorf("%d boots left %d logs", len(kr.Boots), len(logs))
	}
}
