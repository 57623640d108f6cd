package runner

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"kqual/matrix"
)

// Budget is what of the host a run may use. Zero means what the host has.
type Budget struct {
	// CPUs are host CPUs. More than this process may use share them: then races
	// are in each other's way.
	CPUs   int
	Memory int64 // bytes of all virtual machines together
	Jobs   int   // virtual machines at a time, those that only boot included; 0 for no limit
}

// qemuMemory is what QEMU takes beside the guest's memory, in bytes: its own
// code and what TCG has translated.
const qemuMemory = 96 << 20

// Resolve fills in what the host has.
func (b Budget) Resolve() Budget {
	if b.CPUs == 0 {
		b.CPUs = usableCPUs("/", hostCPUs())
	}
	if b.Memory == 0 {
		b.Memory = availableMemory("/")
	}
	return b
}

// Check says why a machine can never run within the budget.
func (b Budget) Check(k matrix.Kernel) error {
	if need := k.Machine.Memory + qemuMemory; need > b.Memory {
		return &matrix.Failure{
			Side: matrix.SideHost,
			Reason: fmt.Sprintf("kernel %s: its machine needs %d MiB of memory (%d MiB and QEMU's own), and all machines together may use %d MiB",
				k.Name, mib(need), k.Machine.Memory>>20, b.Memory>>20),
			Hint: "raise --memory, or lower machine.memory in the matrix",
		}
	}
	return nil
}

// mib rounds bytes up.
func mib(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

// usableCPUs is how many of the host's CPUs this process may use at a time: its
// affinity, and the quota of its control groups (cgroups(7), version 1 and 2).
func usableCPUs(root string, affinity []int) int {
	n := len(affinity)
	if n == 0 {
		n = runtime.NumCPU()
	}
	for _, dir := range controlGroups(root, "cpu") {
		quota, period := math.Inf(1), 1.0
		if fields := strings.Fields(read(dir, "cpu.max")); len(fields) == 2 {
			if q, err := strconv.ParseFloat(fields[0], 64); err == nil { // else it is max
				quota = q
			}
			period, _ = strconv.ParseFloat(fields[1], 64)
		} else if q, ok := number(dir, "cpu.cfs_quota_us"); ok && q > 0 {
			p, _ := number(dir, "cpu.cfs_period_us")
			quota, period = float64(q), float64(p)
		}
		if period > 0 && quota/period < float64(n) {
			n = int(quota / period)
		}
	}
	return max(1, n)
}

// availableMemory is how many bytes this process may still use without
// swapping: what the host has available, and what its control groups leave.
func availableMemory(root string) int64 {
	free := int64(math.MaxInt64)
	for line := range strings.Lines(read(filepath.Join(root, "proc"), "meminfo")) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "MemAvailable: %d kB", &kib); n == 1 {
			free = kib << 10
		}
	}
	for _, dir := range controlGroups(root, "memory") {
		for _, f := range []struct{ limit, used, cache string }{
			{"memory.max", "memory.current", "inactive_file"},
			{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"},
		} {
			limit, ok := number(dir, f.limit)
			used, known := number(dir, f.used)
			if !ok || !known {
				continue
			}
			for line := range strings.Lines(read(dir, "memory.stat")) {
				var n int64
				if got, _ := fmt.Sscanf(line, f.cache+" %d", &n); got == 1 {
					used -= n // the kernel takes it back where it is needed
				}
			}
			free = min(free, max(0, limit-used))
		}
	}
	return free
}

// controlGroups are the directories of this process's control groups that may
// limit a resource, from its own up to the root.
func controlGroups(root, controller string) []string {
	var out []string
	for line := range strings.Lines(read(filepath.Join(root, "proc/self"), "cgroup")) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base := "sys/fs/cgroup"
		switch {
		case parts[0] == "0" && parts[1] == "": // version 2
		case slices.Contains(strings.Split(parts[1], ","), controller):
			base = filepath.Join(base, controller)
		default:
			continue
		}
		for dir := filepath.Clean("/" + parts[2]); ; dir = filepath.Dir(dir) {
			out = append(out, filepath.Join(root, base, dir))
			if dir == "/" {
				break
			}
		}
	}
	return out
}

// read is what a file holds, "" where there is none.
func read(dir, name string) string {
	data, _ := os.ReadFile(filepath.Join(dir, name))
	return string(data)
}

// number is the number that a file holds; ok is false for max, and where there
// is none.
func number(dir, name string) (n int64, ok bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(read(dir, name)), 10, 64)
	return n, err == nil
}
