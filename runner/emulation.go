package runner

import (
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"kqual/matrix"
)

// What QEMU is known to do to sound kernels under TCG. A boot that ends so says
// nothing about its kernel.
const (
	// staleBreakpoint is what QEMU 7.2 does with several CPUs: one CPU translates
	// code while another takes out the breakpoint by which the kernel patches
	// itself, and then runs into a breakpoint that is no longer there. 6 of 100
	// boots of Debian's 7.3 ended so, with every CPU model that was tried.
	staleBreakpoint = "Oops: int3: QEMU's emulation ran a breakpoint that the kernel had removed"
	// impossibleFlags is what QEMU 7.2 does around cmpxchg16b: an interrupt right
	// behind it finds half a pointer where the flags belong, and the return from
	// that interrupt ends in whatever such flags mean. 11 of 36 boots of Debian's
	// 6.12.95 (gcc 12) ended so, with five CPU models; none of 14 with a model that
	// has no such instruction.
	impossibleFlags = "QEMU's emulation lost the CPU's flags: EFLAGS has bits that no x86 CPU can have"
)

// reservedFlags are the bits of EFLAGS that are always 0; bit 1 is always 1
// (Intel's Software Developer's Manual, volume 1, 3.4.3).
const reservedFlags, fixedFlag = 0xffc08028, 1 << 1

// emulatorFault is what QEMU did to a kernel that ended with these splats; ""
// where nothing is known.
func (b *boot) emulatorFault(splats []matrix.Splat) string {
	if b.accel != AccelTCG {
		return ""
	}
	if b.machine.VCPUs > 1 && slices.ContainsFunc(splats, func(s matrix.Splat) bool {
		return strings.HasPrefix(s.Line, "Oops: int3: ") || strings.HasPrefix(s.Line, "int3: ")
	}) {
		return staleBreakpoint
	}
	if died(splats) && hasImpossibleFlags(strings.NewReader(b.console())) {
		return impossibleFlags
	}
	return ""
}

// dumpedFlags are those in a dump of registers.
var dumpedFlags = regexp.MustCompile(`^RSP: [0-9a-f]{4}:[0-9a-f]{16} EFLAGS: ([0-9a-f]{8})$`)

// hasImpossibleFlags says whether a console log has a dump of registers with
// flags that no CPU can have.
func hasImpossibleFlags(log io.Reader) bool {
	for line := range consoleLines(log) {
		m := dumpedFlags.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		flags, err := strconv.ParseUint(m[1], 16, 32)
		if err == nil && (flags&reservedFlags != 0 || flags&fixedFlag == 0) {
			return true
		}
	}
	return false
}
