package runner

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kqual/matrix"
)

// corpus is where the consoles of kernels with faults are kept: real ones, from
// the fault's announcement on. KQUAL_CORPUS=1 makes the tests that inject the
// faults write them.
const corpus = "testdata/consoles"

// corpusLines is how much of a console is kept.
const corpusLines = 70

// keepForCorpus keeps the console of a fault, where that is asked for.
func keepForCorpus(t *testing.T, i injection, kr matrix.KernelRun) {
	t.Helper()
	if os.Getenv("KQUAL_CORPUS") != "1" || t.Failed() || len(kr.Boots) == 0 {
		return
	}
	lines := strings.SplitAfter(string(readWhole(t, kr.Boots[0].ConsoleLog)), "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, announcement) })
	if at < 0 {
		return
	}
	for n, l := range lines {
		if len(l) > 200 {
			lines[n] = l[:200] + "\n"
		}
	}
	text := strings.Join(lines[at:min(at+corpusLines, len(lines))], "")
	if err := os.WriteFile(filepath.Join(corpus, i.name+".log"), []byte(text), 0o644); err != nil {
		t.Error(err)
	}
}

// What the tables say of a fault can be read from its console alone.
func TestTheCorpusOfConsolesIsToldAsTheFaultsThatMadeIt(t *testing.T) {
	kinds := map[string]bool{}
	for _, p := range splatPatterns {
		kinds[p.kind] = true
	}
	logs, err := filepath.Glob(filepath.Join(corpus, "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	faults := map[string]fault{}
	for _, f := range slices.Concat(kernelFaults, stallFaults, checkedFaults, guestFaults, channelFaults, qemuFaults, []fault{staleBreakpointFault}) {
		faults[f.name] = f
	}
	for _, path := range logs {
		name := strings.TrimSuffix(filepath.Base(path), ".log")
		t.Run(name, func(t *testing.T) {
			f, ok := faults[name]
			if !ok {
				t.Fatal("no table has this fault")
			}
			splats := scanConsole(strings.NewReader(string(readWhole(t, path))))
			s, fatal := worst(splats)
			told := s.Kind + ": " + s.Line
			kind, _, _ := strings.Cut(strings.TrimPrefix(f.fails, "^"), ": ")
			switch {
			case f.emulator:
				if b := (&boot{accel: AccelTCG, machine: matrix.Machine{VCPUs: 2}, log: path}); b.emulatorFault(splats) == "" {
					t.Errorf("found %v, where QEMU's emulation is to blame", splats)
				}
			case f.marks != "":
				if !slices.ContainsFunc(splats, func(s matrix.Splat) bool { return s.Kind == f.marks }) {
					t.Errorf("found %v, want %s", splats, f.marks)
				}
			case kinds[kind]:
				if !fatal || !regexp.MustCompile(f.fails).MatchString(told) {
					t.Errorf("told as %q, want %s", told, f.fails)
				}
			case fatal:
				t.Errorf("told as %q, where the kernel is in no trouble", told)
			}
		})
	}
}
