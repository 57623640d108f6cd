package runner

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// How long the soak takes in make test, and in make full; KQUAL_SOAK says
// otherwise (make soak, scripts/soak).
const (
	shortSoak = 5 * time.Minute
	fullSoak  = 2 * time.Hour
)

// soakWaits are long: host and guest are busy with other things at times, and a
// fault that hangs must not be told of a boot that is slow.
var soakWaits = waits{records: 3 * time.Second, boot: 4 * time.Second}

// usage is what this process has in use after a round.
type usage struct {
	rss, heap                               int // bytes
	descriptors, threads, goroutines, files int
}

// columns name the fields of usage, and how much each may grow from the second
// quarter of a soak to the last: memory by a twentieth and a megabyte, which a
// collector's timing makes; the rest not at all.
var columns = []struct {
	name  string
	get   func(usage) int
	slack func(int) int
}{
	{"RSS, kB", func(u usage) int { return u.rss >> 10 }, func(n int) int { return n/20 + 1024 }},
	{"heap, kB", func(u usage) int { return u.heap >> 10 }, func(n int) int { return n/20 + 1024 }},
	{"descriptors", func(u usage) int { return u.descriptors }, func(int) int { return 0 }},
	{"threads", func(u usage) int { return u.threads }, func(int) int { return 2 }}, // the Go runtime's own
	{"goroutines", func(u usage) int { return u.goroutines }, func(int) int { return 0 }},
	{"temporary files", func(u usage) int { return u.files }, func(int) int { return 0 }},
}

// Boot after boot, one of two with a fault in it: every verdict is right, or an
// error where the fault struck, and this process has no more in use at the end
// than it had early on. How each fault is told is for the tests of the faults.
func TestVMSoak(t *testing.T) {
	needVM(t)
	lasts := shortSoak
	if os.Getenv("KQUAL_FULL") == "1" {
		lasts = fullSoak
	}
	if text := os.Getenv("KQUAL_SOAK"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("KQUAL_SOAK: %v", err)
		}
	}
	shorten(t, soakWaits)
	var faults []fault
	for _, list := range [][]fault{kernelFaults, guestFaults, channelFaults, qemuFaults} {
		faults = append(faults, list...)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var rounds []usage
	boots, made := 0, 0
	var told time.Duration
	for begin := time.Now(); time.Since(begin) < lasts; {
		f := &faults[rng.IntN(len(faults))]
		i := injection{fault: f, phase: f.at[rng.IntN(len(f.at))], rep: len(rounds)}
		i.once = f.fails != "" && (i.phase == atSetup || i.phase == atTrials) && rng.IntN(2) == 0
		var cfg Config
		t.Run(i.id(), func(t *testing.T) {
			r := inject(t, []injection{i})
			// A busy host may end a boot that has no fault, too: what it costs then is a boot.
			i.checkVerdicts(t, r.runs[0], r.verdicts(0))
			rightVerdicts(t, r.runs[1], r.verdicts(1), -1)
			if t.Failed() {
				explainRun(t, r.runs[0], r.verdicts(0))
			}
			for _, kr := range r.runs {
				boots += len(kr.Boots)
			}
			made += r.marks.announced(t, r.runs[0])
			cfg = r.cfg
		})
		u := inUse(t, cfg)
		rounds = append(rounds, u)
		if since := time.Since(begin); since > told+time.Minute {
			told = since
			fmt.Printf("soak: %s, %d rounds, %d boots, %d faults; RSS %d kB, heap %d kB, %d descriptors, %d threads, %d goroutines, %d files\n",
				since.Round(time.Second), len(rounds), boots, made, u.rss>>10, u.heap>>10, u.descriptors, u.threads, u.goroutines, u.files)
		}
	}
	t.Logf("%d rounds, %d boots, %d faults made", len(rounds), boots, made)
	if len(rounds) < 8 {
		t.Logf("too few rounds to compare quarters of them")
		return
	}
	quarter := len(rounds) / 4
	second, last := rounds[quarter:2*quarter], rounds[len(rounds)-quarter:]
	for _, c := range columns {
		var was, is []int
		for _, u := range second {
			was = append(was, c.get(u))
		}
		for _, u := range last {
			is = append(is, c.get(u))
		}
		m, n := median(was), median(is)
		t.Logf("%s: %d in the second quarter, %d in the last", c.name, m, n)
		if n > m+c.slack(m) {
			t.Errorf("%s grew from %d to %d", c.name, m, n)
		}
	}
}

// inUse looks at this process when what can be collected is.
func inUse(t *testing.T, cfg Config) usage {
	t.Helper()
	debug.FreeOSMemory()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	descriptors, _ := filepath.Glob("/proc/self/fd/*")
	temporary, _ := filepath.Glob(filepath.Join(os.TempDir(), "kqual-*"))
	return usage{
		rss: status(t, "VmRSS:") << 10, heap: int(m.HeapAlloc), threads: status(t, "Threads:"),
		descriptors: len(descriptors), goroutines: runtime.NumGoroutine(),
		files: len(slices.Concat(temporary, leftovers(t, cfg))),
	}
}

// status reads a number of /proc/self/status, in kB where it has a unit.
func status(t *testing.T, key string) int {
	t.Helper()
	for line := range strings.Lines(string(readWhole(t, "/proc/self/status"))) {
		if rest, ok := strings.CutPrefix(line, key); ok {
			n, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/proc/self/status has no %s", key)
	return 0
}
