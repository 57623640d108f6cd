package runner

import (
	"bufio"
	"io"
	"iter"
	"regexp"
	"slices"
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
	// What the reports of kernel/locking/lockdep.c begin with.
	{"lockdep", regexp.MustCompile(`^(WARNING: (possible .* detected|.* lock order detected|suspicious RCU usage|inconsistent lock state|bad (unlock balance|contention) detected|Nested lock was not taken|held lock freed|.* still has locks held|lock held when returning to user space)|\[ BUG: Invalid wait context \])`)},
	// Newer kernels (7.2 is one) say "WARNING: FILE:LINE at FUNCTION, CPU#0:
	// COMM/PID", without the file where they lack verbose bug data.
	{"WARNING", regexp.MustCompile(`^WARNING: (CPU: \d+ PID: \d+ at |.*\bat .*, CPU#\d+: )`)},
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
	for text := range consoleLines(r) {
		if s, ok := splatOf(text); ok {
			splats = append(splats, s)
		}
	}
	return splats
}

// consoleLines are the lines of a console log without their time stamps.
func consoleLines(r io.Reader) iter.Seq[string] {
	return func(yield func(string) bool) {
		br := bufio.NewReaderSize(r, maxConsoleLine)
		for {
			line, isPrefix, err := br.ReadLine()
			if err != nil {
				return
			}
			text := timestamp.ReplaceAllString(strings.TrimRight(string(line), "\r"), "")
			for isPrefix && err == nil { // the rest of an over-long line
				_, isPrefix, err = br.ReadLine()
			}
			if !yield(text) {
				return
			}
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

// consequences are panics that only follow what was told before them, and what
// that can be.
var consequences = []struct {
	panic  *regexp.Regexp
	causes []string
}{
	{regexp.MustCompile(`Fatal exception`), []string{"oops", "BUG"}},
	{regexp.MustCompile(`panic_on_warn set`), []string{"KASAN", "KCSAN", "KFENCE", "UBSAN", "BUG", "WARNING"}},
	{regexp.MustCompile(`softlockup: hung tasks|Hard LOCKUP`), []string{"lockup"}},
	{regexp.MustCompile(`hung_task: blocked tasks`), []string{"hung task"}},
	{regexp.MustCompile(`RCU Stall`), []string{"RCU stall"}},
}

// cause is the first line that tells what the panic followed from; the panic
// itself where none does.
func cause(splats []matrix.Splat, panic matrix.Splat) matrix.Splat {
	for _, c := range consequences {
		if !c.panic.MatchString(panic.Line) {
			continue
		}
		for _, s := range splats {
			if slices.Contains(c.causes, s.Kind) {
				return s
			}
		}
	}
	return panic
}

// worst returns the splat that ended a boot: a panic if there is one, or what it
// followed from; else the first oops or BUG, the last lockup, or the last of what
// can be survived; ok is false where nothing fatal was found.
func worst(splats []matrix.Splat) (s matrix.Splat, ok bool) {
	for i, s := range splats {
		if s.Kind == "panic" {
			return cause(splats[:i], s), true
		}
	}
	for _, s := range splats { // its panic did not reach the log
		if s.Kind == "oops" || s.Kind == "BUG" {
			return s, true
		}
	}
	// A CPU that is locked up stalls RCU and tasks, too.
	for _, kinds := range [][]string{{"lockup"}, {"KASAN", "KFENCE", "OOM", "RCU stall", "hung task"}} {
		for _, s := range slices.Backward(splats) {
			if slices.Contains(kinds, s.Kind) {
				return s, true
			}
		}
	}
	return matrix.Splat{}, false
}

// died says whether the kernel itself gave up.
func died(splats []matrix.Splat) bool {
	return slices.ContainsFunc(splats, func(s matrix.Splat) bool {
		return s.Kind == "panic" || s.Kind == "oops" || s.Kind == "BUG"
	})
}

// fresh are the splats that no finished cell has told of: what a kernel survived
// then does not explain how its boot ended. Guests cut the lines that they tell.
func fresh(splats []matrix.Splat, told []string) []matrix.Splat {
	told = slices.Clone(told)
	return slices.DeleteFunc(slices.Clone(splats), func(s matrix.Splat) bool {
		i := slices.IndexFunc(told, func(line string) bool { return strings.HasPrefix(s.Line, line) })
		if i >= 0 {
			told = slices.Delete(told, i, i+1)
		}
		return i >= 0
	})
}
