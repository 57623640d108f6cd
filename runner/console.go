package runner

import (
	"bufio"
	"io"
	"regexp"
	"strings"

	"kqual/matrix"
)

// splatPatterns are tried in order; the first that matches a line names it.
var splatPatterns = []struct {
	kind string
	re   *regexp.Regexp
}{
	{"panic", regexp.MustCompile(`Kernel panic - not syncing`)},
	{"oops", regexp.MustCompile(`^(Oops: |BUG: unable to handle|BUG: kernel NULL pointer|BUG: .*stack guard page|traps: PANIC: double fault|PANIC: double fault|general protection fault|divide error:|invalid opcode:|int3: |Unable to handle kernel|Internal error: )`)},
	{"lockup", regexp.MustCompile(`watchdog: BUG: soft lockup|Watchdog detected hard LOCKUP`)},
	{"RCU stall", regexp.MustCompile(`^(rcu: )?INFO: rcu.* (self-)?detected (expedited )?stalls?`)},
	{"hung task", regexp.MustCompile(`^INFO: task .* blocked( in I/O wait)? for more than \d+ seconds`)},
	{"OOM", regexp.MustCompile(`Out of memory: Killed process|invoked oom-killer`)},
	{"KCSAN", regexp.MustCompile(`^BUG: KCSAN: `)},
	{"KFENCE", regexp.MustCompile(`^BUG: KFENCE: `)},
	{"KASAN", regexp.MustCompile(`^BUG: K(A|M)SAN: `)},
	{"BUG", regexp.MustCompile(`^(kernel BUG at |BUG: )`)},
	// Newer kernels (7.2 is one) say "WARNING: FILE:LINE at FUNCTION, CPU#0:
	// COMM/PID", without the file where they lack verbose bug data.
	{"WARNING", regexp.MustCompile(`^WARNING: (CPU: \d+ PID: \d+ at |possible |suspicious |inconsistent lock state|bad unlock balance|.*\bat .*, CPU#\d+: )`)},
	{"UBSAN", regexp.MustCompile(`^UBSAN: `)},
	{"clock", regexp.MustCompile(`^clocksource: .*[Mm]arking clocksource .* as unstable`)},
}

// timestamp is what printk puts before a line: "[    1.234567] ", with the
// caller "[T1]" behind it on newer kernels.
var timestamp = regexp.MustCompile(`^(<\d+>)?\[ *\d+\.\d+\](\[ *[TC]\d+\])? `)

// maxConsoleLine is how much of a line is looked at, in bytes.
const maxConsoleLine = 4096

// scanConsole finds the trouble in a console log, in order.
func scanConsole(r io.Reader) []matrix.Splat {
	var splats []matrix.Splat
	br := bufio.NewReaderSize(r, maxConsoleLine)
	for {
		line, isPrefix, err := br.ReadLine()
		if err != nil {
			return splats
		}
		text := timestamp.ReplaceAllString(strings.TrimRight(string(line), "\r"), "")
		for isPrefix && err == nil { // the rest of an over-long line
			_, isPrefix, err = br.ReadLine()
		}
		if s, ok := splatOf(text); ok {
			splats = append(splats, s)
		}
	}
}

// splatOf says what trouble a line without its time stamp tells of, if any.
func splatOf(text string) (matrix.Splat, bool) {
	for _, p := range splatPatterns {
		if p.re.MatchString(text) {
			return matrix.Splat{Kind: p.kind, Line: text}, true
		}
	}
	return matrix.Splat{}, false
}

// consequence is a panic that only follows what was told before it.
var consequence = regexp.MustCompile(`Fatal exception|panic_on_warn set|softlockup: hung tasks|hung_task: blocked tasks`)

// worst returns the splat that ended a boot: a panic if there is one, or the
// first oops or BUG that it followed from; else the last oops or lockup; ok is
// false where nothing fatal was found.
func worst(splats []matrix.Splat) (s matrix.Splat, ok bool) {
	for _, s := range splats {
		if s.Kind != "panic" {
			continue
		}
		if consequence.MatchString(s.Line) {
			for _, cause := range splats {
				if cause.Kind == "oops" || cause.Kind == "BUG" {
					return cause, true
				}
			}
		}
		return s, true
	}
	for i := len(splats) - 1; i >= 0; i-- {
		switch splats[i].Kind {
		case "oops", "lockup", "BUG", "KASAN", "KFENCE", "OOM", "RCU stall", "hung task":
			return splats[i], true
		}
	}
	return matrix.Splat{}, false
}
