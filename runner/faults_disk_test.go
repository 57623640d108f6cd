package runner

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kqual/matrix"
)

// Faults of the disk: each kernel meets one. What is on tmpfs gets its verdict
// wherever the machine starts; what is on the disk gets the right one or none.
func TestVMFaultsOfTheDisk(t *testing.T) {
	needVM(t)
	source := faultKernel(t)
	var text strings.Builder
	text.WriteString("version: 1\nname: disks\nmachine: {accel: tcg}\nsampling: {detection_limit: 2%}\nkernels:\n")
	faults := []struct {
		kernel, means string
		before        func(image string) error // done to the image before that kernel boots
		tmpfs         bool                     // what is on tmpfs gets its verdict
		fails         string                   // part of what a cell on the disk without a verdict says; empty where it may have one
	}{
		{"sound", "", nil, true, ""},
		{"disk-unplug.trials", "the guest's disk is unplugged", nil, true, ""},
		{"disk-cut", "the image is cut to a half", func(image string) error {
			info, err := os.Stat(image)
			if err != nil {
				return err
			}
			return os.Truncate(image, info.Size()/2)
		}, true, "mount ext4"},
		{"disk-zero", "the image is all zeros", func(image string) error { return os.Truncate(image, 0) }, true, "mount ext4"},
		{"disk-gone", "the image is removed", os.Remove, false, "ext4.img: no such file"},
	}
	for _, f := range faults {
		text.WriteString("  - name: " + f.kernel + "\n    " + source + "\n")
	}
	text.WriteString(`filesystems: [ext4, tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: victim, inotify: [IN_DELETE], check: nlink}
`)
	cfg, cat := testRun(t, text.String())
	cfg.Guest, cfg.Budget.Jobs = program(t, "faulty"), 1
	shorten(t, usual)
	next := 1
	cfg.OnEvent = func(ev Event) {
		if ev.Run == nil || ev.Cell != nil || next == len(faults) {
			return
		}
		if f := faults[next]; f.before != nil {
			if err := f.before(filepath.Join(ownTemp(t, cfg), "ext4.img")); err != nil {
				t.Errorf("%s: %v", f.kernel, err)
			}
		}
		next++
	}
	before := leftovers(t, cfg)
	runs, err := Run(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	table := newTally()
	if left := leftovers(t, cfg).beyond(before); len(left) > 0 {
		t.Errorf("the run left %q", left)
		table.left = len(left)
	}
	for n, kr := range runs {
		f := faults[n]
		t.Run(f.kernel, func(t *testing.T) {
			verdicts := matrix.Judge(kr, cfg.Sampling, cat)
			wrong := 0
			for c, v := range verdicts {
				cell, right := kr.Cells[c].Cell, faultCells[c%2].right
				onDisk := cell.Filesystem == "ext4"
				none := v.Kind == matrix.VerdictError
				switch {
				case v.Kind == right && (f.tmpfs || !onDisk) && (f.fails == "" || !onDisk):
				case none && onDisk && (f.means != "" && strings.Contains(v.Reason, f.fails)):
				case none && !onDisk && !f.tmpfs && strings.Contains(v.Reason, f.fails):
				default:
					t.Errorf("%s: %s", cell.ID(), matrix.VerdictText(v))
				}
				if !none && v.Kind != right {
					wrong++
				}
			}
			if t.Failed() {
				explainRun(t, kr, verdicts)
			}
			if f.means != "" {
				i := injection{fault: &fault{name: strings.TrimSuffix(f.kernel, ".trials"), means: f.means, fails: f.fails, unannounced: true}, phase: atBoot}
				if strings.HasSuffix(f.kernel, ".trials") {
					i.phase = atTrials
				}
				table.add(i, kr, nil, 0, !t.Failed())
				table.rows[i.name].wrong += wrong
			}
		})
	}
	table.print(t)
}

// ownTemp is the temporary directory of the run that goes on: this process
// holds a lock on it.
func ownTemp(t *testing.T, cfg Config) string {
	t.Helper()
	links, _ := filepath.Glob("/proc/self/fd/*")
	for _, l := range links {
		if to, _ := os.Readlink(l); strings.HasPrefix(to, filepath.Join(cfg.CacheDir, "tmp")+"/") {
			return to
		}
	}
	t.Error("found no temporary directory of this process")
	return ""
}
