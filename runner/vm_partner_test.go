package runner

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"kqual/matrix"
)

const partnerWatches = `  - {name: DELETE, inotify: [IN_DELETE]}
  - {name: nlink, inotify: [IN_DELETE], check: nlink}
  - {name: user, uid: 1000, inotify: [IN_DELETE]}
`

// onlooked runs open-writer in a guest of that mode and returns its cells'
// verdicts with what the onlooker said.
func onlooked(t *testing.T, kernel, filesystems, mode string) (cells []matrix.CellRun, got []matrix.Verdict, said string) {
	t.Helper()
	text := scenarioMatrix(kernel, filesystems, "open-writer", partnerWatches)
	cfg, cat := testRun(t, strings.Replace(text, "{max_time", "{detection_limit: 0.5%, max_time", 1))
	cfg.Guest = stressed(t, mode)
	run := judgedRun(t, cfg, cat, func(c matrix.CellRun, v matrix.Verdict) {
		cells, got = append(cells, c), append(got, v)
	})
	for _, b := range run.Boots {
		console, err := os.ReadFile(b.ConsoleLog)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range regexp.MustCompile(`onlooker: [^\r\n]*`).FindAllString(string(console), -1) {
			said += line + "\n"
		}
	}
	t.Log("\n" + said)
	return cells, got, said
}

// Who looks into /proc sees the victim in the hands of a child of process 1,
// never of process 1, where the deleter and the reader are. And the verdicts
// are those of the kernel.
func TestVMTheVictimOfOpenWriterIsHeldByAnotherProcess(t *testing.T) {
	needVM(t)
	for _, tt := range []struct {
		name, kernel, filesystems string
		affected                  bool
	}{
		{"affected", affected, strings.Join(everywhere, ", "), true},
		{"fixed", debian11, "tmpfs, ext4", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cells, got, said := onlooked(t, tt.kernel, tt.filesystems, "onlook")
			for i, c := range cells {
				want := matrix.VerdictClean
				// overlayfs drops the dentry itself.
				if tt.affected && c.Cell.Filesystem != "overlay" {
					want = matrix.VerdictAffected
					if c.Cell.Watch.Check == "nlink" {
						want = matrix.VerdictHolds
					}
				}
				if got[i].Kind != want {
					t.Errorf("%s %s: %s, want %s: %s", c.Cell.Filesystem, c.Cell.Watch.Name, matrix.VerdictText(got[i]), want, got[i].Reason)
				}
			}
			var holders []string
			for _, m := range regexp.MustCompile(`(\d+), child of (\d+), holds`).FindAllStringSubmatch(said, -1) {
				holders = append(holders, m[1])
				if m[1] == "1" || m[2] != "1" {
					t.Errorf("process %s, child of %s, holds a victim", m[1], m[2])
				}
			}
			if len(holders) == 0 {
				t.Error("nobody was seen holding a victim")
			}
			if strings.Contains(said, "zombie") || strings.Contains(said, "at a time") {
				t.Errorf("processes pile up:\n%s", said)
			}
		})
	}
}

// A partner that dies costs the cell at hand, in words, and no other.
func TestVMAPartnerThatDiesIsAnErrorOfItsCell(t *testing.T) {
	needVM(t)
	cells, got, _ := onlooked(t, affected, "tmpfs, ext4", "kill")
	failed := 0
	for i, v := range got {
		switch {
		case v.Kind == matrix.VerdictError:
			failed++
			if !regexp.MustCompile(`the partner process, \d+, ended: signal: killed`).MatchString(v.Reason) {
				t.Errorf("the error says %q", v.Reason)
			}
		case v.Kind != matrix.VerdictAffected && v.Kind != matrix.VerdictHolds && v.Kind != matrix.VerdictInconclusive:
			t.Errorf("%s: %s", cells[i].Cell.ID(), matrix.VerdictText(v))
		}
	}
	if failed != 1 {
		t.Errorf("%d cells failed, want the one whose partner was killed: %s", failed, fmt.Sprint(got))
	}
}
