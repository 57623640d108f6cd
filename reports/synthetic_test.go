package reports

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"kqual/matrix"
)

// The synthetic report has every kind of verdict, footnote and name that a
// printer may meet.

const hostileKernel = "a|b `rm -rf ~` <img src=x> [内核](http://x) $e^i$ *_*"

func testCatalog() matrix.Catalog {
	only := func(w matrix.Watch, event string) bool {
		return w.Check == "open" && slices.Equal(w.Flags["mask"], []string{event})
	}
	return matrix.Catalog{
		EventSources: map[string]matrix.EventSource{
			"inotify":  {Name: "inotify", IsPlain: func(w matrix.Watch) bool { return only(w, "IN_DELETE") }},
			"fanotify": {Name: "fanotify", IsPlain: func(w matrix.Watch) bool { return only(w, "FAN_DELETE") }},
		},
		Checks: map[string]matrix.Check{
			"open": {Name: "open"}, "nlink": {Name: "nlink", Recognises: true},
			"getdents": {Name: "getdents"}, "target_fid": {Name: "target_fid", Recognises: true},
		},
	}
}

func inotify(name, check string, flags ...string) matrix.Watch {
	return matrix.Watch{Name: name, Source: "inotify", Check: check, Flags: map[string][]string{"mask": append([]string{"IN_DELETE"}, flags...)}}
}

var (
	plainIN   = inotify("IN_DELETE", "open")
	exclIN    = inotify("IN_DELETE+EXCL_UNLINK", "open", "IN_EXCL_UNLINK")
	nlinkIN   = inotify("IN_DELETE+nlink", "nlink")
	dentsIN   = inotify("IN_DELETE+getdents", "getdents")
	targetFAN = matrix.Watch{
		Name: "FAN_DELETE+target_fid", Source: "fanotify", Check: "target_fid",
		Flags: map[string][]string{"init": {"FAN_REPORT_DFID_NAME_TARGET"}, "mask": {"FAN_DELETE", "FAN_ONDIR"}},
	}
	controlFAN = matrix.Watch{
		Name: "FAN_DELETE", Source: "fanotify", Check: "open", Control: true,
		Flags: map[string][]string{"init": {"FAN_REPORT_DFID_NAME"}, "mask": {"FAN_DELETE"}},
	}
	allWatches = []matrix.Watch{controlFAN, plainIN, exclIN, nlinkIN, dentsIN, targetFAN}
)

// measured is an outcome whose trials are spread over equal blocks.
func measured(c matrix.Counts, stop matrix.StopReason) *matrix.Outcome {
	const n = 8
	o := &matrix.Outcome{Status: matrix.Measured, Counts: c, Stop: stop}
	for i := range n {
		part := func(all int) int { return all*(i+1)/n - all*i/n }
		var b matrix.Counts // from the innermost to the outermost
		b.RecognisedDecisive = part(c.RecognisedDecisive)
		b.StaleDecisive = b.RecognisedDecisive + part(c.StaleDecisive-c.RecognisedDecisive)
		b.Decisive = b.StaleDecisive + part(c.Decisive-c.StaleDecisive)
		b.Contested = b.Decisive + part(c.Contested-c.Decisive)
		b.Trials = b.Contested + part(c.Trials-c.Contested)
		b.Recognised, b.Stale, b.FalseAlarms = b.RecognisedDecisive, b.StaleDecisive, part(c.FalseAlarms)
		bl := matrix.Block{Counts: b, Groups: 65, Sentinel: 38, Setup: 15 * time.Millisecond, Elapsed: 36 * time.Millisecond}
		o.Blocks = append(o.Blocks, bl)
		o.Setup += bl.Setup
		o.Elapsed += bl.Elapsed
	}
	return o
}

func fixed() *matrix.Outcome {
	return measured(matrix.Counts{Trials: 4030, Contested: 3920, Decisive: 3700}, matrix.StopRuledOut)
}

func stale(count, decisive int) *matrix.Outcome {
	return measured(matrix.Counts{Trials: decisive + 40, Contested: decisive + 20, Decisive: decisive, Stale: count, StaleDecisive: count}, matrix.StopAffected)
}

func recognised(n int) *matrix.Outcome {
	return measured(matrix.Counts{
		Trials: n + 40, Contested: n + 20, Decisive: n, Stale: n, StaleDecisive: n,
		Recognised: n, RecognisedDecisive: n,
	}, matrix.StopRecognised)
}

func refused(syscall, flag, errno string) *matrix.Outcome {
	return &matrix.Outcome{Status: matrix.Unsupported, Refusal: &matrix.Refusal{Syscall: syscall, Flag: flag, Errno: errno}}
}

// answers are the outcomes of allWatches; nil where there is none.
type answers [6]*matrix.Outcome

func kernelRun(index int, name, source, version, release string, order matrix.Order, byFS map[string]answers) matrix.KernelRun {
	run := matrix.KernelRun{
		Kernel: name, Index: index,
		Machine: matrix.Machine{VCPUs: 2, Memory: 512 << 20, Accel: "auto"},
		Provenance: matrix.Provenance{
			Source: source, Version: version, Arch: "amd64",
			SHA256: "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		},
		Boots: []matrix.Boot{{
			Accel: "tcg", QEMU: "7.2.22", Release: release, Clocksource: "tsc", CPUModel: "Opteron_G2", CPUs: 2, Image: "vmlinux",
			FirstRecord: 1300 * time.Millisecond, Total: 9 * time.Second, Cells: 7500 * time.Millisecond,
			ConsoleLog: "out/logs/" + name + ".console.log", End: "done",
		}},
	}
	for _, fs := range []string{"tmpfs", "ext4"} {
		list, ok := byFS[fs]
		if !ok {
			continue
		}
		if order != "" {
			run.Witnesses = append(run.Witnesses, matrix.Witness{Filesystem: fs, Kind: "unlink", Order: order})
		}
		for i, o := range list {
			run.Cells = append(run.Cells, matrix.CellRun{
				Cell:    matrix.Cell{Kernel: name, Filesystem: fs, Scenario: "unlink", Watch: allWatches[i]},
				Outcome: o,
			})
		}
	}
	return run
}

func synthetic() Input {
	allFixed := answers{fixed(), fixed(), fixed(), fixed(), fixed(), fixed()}
	noFID := refused("fanotify_mark", "FAN_DELETE|FAN_ONDIR", "ENODEV")
	noGroup := refused("fanotify_init", "FAN_REPORT_DFID_NAME_TARGET", "EINVAL")

	deb11 := kernelRun(0, "debian-11", "debian", "5.10.223-1", "5.10.0-32-cloud-amd64", matrix.Late, map[string]answers{
		"tmpfs": {noFID, fixed(), fixed(), fixed(), fixed(), noFID}, "ext4": allFixed,
	})
	affected := kernelRun(4, "v5.10-affected", "build", "5.10.223-1", "5.10.223-kqual", matrix.Early, map[string]answers{
		"tmpfs": {noFID, stale(128, 128), stale(128, 131), recognised(3700), fixed(), noFID},
		"ext4":  {stale(128, 129), stale(128, 128), stale(5, 3700), recognised(3700), fixed(), noGroup},
	})
	affected.Provenance.Details = map[string]string{matrix.DetailPatches: "affected"}
	deb12 := kernelRun(1, "debian-12", "debian", "6.1.140-1", "6.1.0-37-cloud-amd64", matrix.Late, map[string]answers{
		"tmpfs": allFixed,
		"ext4": {
			fixed(), fixed(),
			measured(matrix.Counts{Trials: 9000, Contested: 900, Decisive: 310}, matrix.StopMaxTime),
			fixed(), measured(matrix.Counts{Trials: 5000, Contested: 4000, Decisive: 3720, FalseAlarms: 3}, matrix.StopRuledOut), fixed(),
		},
	})
	deb13 := kernelRun(2, "debian-13", "debian", "6.12.43-1", "6.12.43+deb13-cloud-amd64", matrix.Late, map[string]answers{
		"tmpfs": allFixed,
		"ext4":  {fixed(), stale(2, 11980), fixed(), fixed(), fixed(), fixed()}, // unexpected
	})
	early := kernelRun(6, "v6.18-early", "build", "6.18~rc3", "6.18.0-rc3", matrix.Early, map[string]answers{
		"tmpfs": {fixed(), fixed(), fixed(), fixed(), fixed(), fixed()},
		"ext4":  {stale(128, 128), stale(128, 128), fixed(), recognised(3700), fixed(), recognised(3700)},
	})
	broken := kernelRun(7, hostileKernel, "file", "", "", "", map[string]answers{"tmpfs": {}, "ext4": {}})
	broken.Boots[0] = matrix.Boot{
		Accel: "tcg", QEMU: "7.2.22", Image: "vmlinuz", Total: 2 * time.Second,
		ConsoleLog: "out/logs/broken | pipe.console.log", End: "panic",
	}
	broken.Error = &matrix.Failure{
		Side: matrix.SideBoot, Reason: "panic: \x1b[31mKernel panic\x1b[0m - not <b>syncing</b>: a|b \u202etxt.`exe`\r\nsecond line",
		Log: "out/logs/broken | pipe.console.log", Hint: "look at the end of the log",
	}
	return Input{
		Tool: Tool{Name: "kqual", Version: "v0.1.0-test"}, State: StateDone,
		Started:  time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC),
		Finished: time.Date(2026, 11, 24, 8, 1, 12, 345000000, time.UTC),
		Host:     Host{Kernel: "6.1.0-37-amd64", CPUs: 2, CPUModel: "Test CPU | v4 @ 2.60GHz"},
		Catalog:  testCatalog(),
		Spec: &matrix.Spec{
			Path: "matrix.yaml", Hash: "feedbeef00112233445566778899aabbccddeeff00112233445566778899aabb",
			Version: 1, Name: "synthetic <matrix>",
			Sampling: matrix.Sampling{Pressure: matrix.PressureAuto, DetectionLimit: 0.001, Confidence: 0.95, MaxTime: 20 * time.Second},
			Watches:  allWatches[1:],
			Controls: []matrix.Rule{
				{Kernel: []string{"v5.10-affected"}, Watch: []string{"IN_DELETE"}, Verdict: []matrix.VerdictKind{matrix.VerdictAffected}, Why: "49246466a989", Line: 27},
				{Kernel: []string{"debian-12"}, Watch: []string{"IN_DELETE"}, Verdict: []matrix.VerdictKind{matrix.VerdictClean}, Why: "a37d9a17f099", Line: 28},
			},
			Expect: []matrix.Rule{
				{Kernel: []string{"v5.10-affected"}, Watch: []string{"IN_DELETE", "IN_DELETE+EXCL_UNLINK"}, Verdict: []matrix.VerdictKind{matrix.VerdictAffected}, Why: "49246466a989", Line: 30},
				{Filesystem: []string{"tmpfs"}, Kernel: []string{"debian-11", "v5.10-*"}, Watch: []string{"FAN_*"}, Verdict: []matrix.VerdictKind{matrix.VerdictUnsupported}, Why: "no f_fsid", Line: 31},
				{Kernel: []string{"v5.10-affected"}, Verdict: []matrix.VerdictKind{matrix.VerdictHolds}, Why: "reader-side checks", Line: 32},
				{Kernel: []string{"debian-*"}, Verdict: []matrix.VerdictKind{matrix.VerdictClean}, Why: "a37d9a17f099", Line: 33},
			},
		},
		Runs: []matrix.KernelRun{deb11, deb12, deb13, affected, early, broken},
	}
}

// interrupted is the synthetic run, stopped in the middle of its second kernel.
func interrupted() Input {
	in := synthetic()
	in.State = StateInterrupted
	for i := range in.Runs {
		if i == 0 {
			continue
		}
		run := &in.Runs[i]
		run.Error = nil
		run.Cells = slices.Clone(run.Cells)
		for k := range run.Cells {
			if i > 1 || k > 3 {
				run.Cells[k].Outcome = nil
			}
		}
		if i > 1 {
			run.Boots, run.Witnesses, run.Provenance = nil, nil, matrix.Provenance{Source: run.Provenance.Source}
		}
	}
	return in
}

// hostileTail is a console that tries to leave its place.
func hostileTail(log string) string {
	return "[    0.000000] Linux version\r\n\x1b[2J</script><script>document.title='owned'</script>\n<!-- Kernel panic \xff ]]>\n"
}

// someLogs links to the logs whose names need escaping, and to no other.
func someLogs(log string) string {
	if !strings.Contains(log, " ") {
		return ""
	}
	return (&url.URL{Path: strings.TrimPrefix(log, "out/")}).String()
}

// withNatural is the synthetic run with a natural scenario on two kernels: one
// meets no stale open, the other five.
func withNatural() Input {
	in := synthetic()
	in.Catalog.Scenarios = map[string]matrix.Scenario{"indelchurn": {Name: "indelchurn", Natural: true}}
	for i, stale := range map[int]int{0: 0, 3: 5} { // debian-11 and v5.10-affected
		run := &in.Runs[i]
		run.Cells = append(run.Cells, matrix.CellRun{
			Cell:    matrix.Cell{Kernel: run.Kernel, Filesystem: "tmpfs", Scenario: "indelchurn", Watch: plainIN},
			Outcome: measured(matrix.Counts{Trials: 20000}, matrix.StopNatural),
		})
		o := run.Cells[len(run.Cells)-1].Outcome
		o.Counts.Stale = stale
		for k := range stale {
			o.Blocks[k].Stale = 1
		}
	}
	return in
}
