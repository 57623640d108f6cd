package runner

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// A race needs both CPUs of the guest at the same moment. On a busy host the
// scheduler may put both on one core, where each trial then waits for several
// time slices (16 ms a trial instead of 0.3 ms, measured with two other
// processes on two cores). So each virtual CPU is kept on a core of its own,
// and where this process may, the machine goes before others. All of it is
// best effort: it decides how fast evidence comes in, never what it says.

const (
	// raceNice is the nice value of QEMU, and of its session's autogroup
	// (sched(7)), where this process may set them: of boots, too, which go where no
	// race is.
	raceNice = -10
	// settleTime is how long to look for the threads of the virtual CPUs: they are
	// there when the guest has said anything.
	settleTime = 2 * time.Second
	settlePoll = 2 * time.Millisecond
)

// hostCPUs lists the CPUs that this process may run on.
func hostCPUs() []int {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil
	}
	var cpus []int
	for cpu := 0; len(cpus) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	return cpus
}

// bindThread lets a thread (0 for this one) run on these host CPUs alone; none
// change nothing.
func bindThread(tid int, cpus []int) {
	if len(cpus) == 0 {
		return
	}
	var set unix.CPUSet
	for _, cpu := range cpus {
		set.Set(cpu)
	}
	_ = unix.SchedSetaffinity(tid, &set)
}

// raise finds QEMU's process and puts its autogroup first in line, where this
// process may.
func (v *vm) raise(ctx context.Context) {
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline) && ctx.Err() == nil; time.Sleep(settlePoll) {
		if pid, ok := findQEMU(v.name); ok {
			v.pid.Store(int64(pid))
			if cpus := v.confined.Load(); cpus != nil {
				v.confine(*cpus) // what was asked for before
			}
			if os.Geteuid() == 0 {
				_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), []byte(strconv.Itoa(raceNice)), 0)
			}
			return
		}
	}
}

// settle puts the virtual CPUs on the host CPUs given, one each, and QEMU's other
// threads on any of them. It returns when that is done, QEMU has ended or
// settleTime is up.
func (v *vm) settle(ctx context.Context, vcpus int, cpus []int) {
	v.confined.Store(nil)
	for deadline := time.Now().Add(settleTime); time.Now().Before(deadline) && ctx.Err() == nil && !v.hasEnded(); time.Sleep(settlePoll) {
		if pid := v.pid.Load(); pid > 0 && settleThreads(int(pid), vcpus, cpus) {
			return
		}
	}
}

// confine keeps all of QEMU's threads on these host CPUs, now or as soon as QEMU
// is found.
func (v *vm) confine(cpus []int) {
	v.confined.Store(&cpus)
	if pid := v.pid.Load(); pid > 0 {
		settleThreads(int(pid), 0, cpus)
	}
}

// findQEMU finds the QEMU of that -name: its wrappers have it among their
// arguments, too, until each becomes the next.
func findQEMU(name string) (int, bool) {
	paths, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil || !bytes.Contains(data, []byte("\x00"+name)) || !bytes.HasPrefix(data, []byte("qemu-system-")) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		return pid, err == nil
	}
	return 0, false
}

// settleThreads does so for the threads of a QEMU, which names those of its
// virtual CPUs "CPU 0/TCG" and so on (-name debug-threads=on), and says whether
// it met vcpus of them.
func settleThreads(pid, vcpus int, cpus []int) bool {
	names, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/comm", pid))
	met := 0
	for _, path := range names {
		tid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		on := cpus
		var n int
		if _, err := fmt.Sscanf(string(comm), "CPU %d/", &n); err == nil && n < vcpus {
			met++
			if len(cpus) >= vcpus {
				on = cpus[n : n+1]
			}
		}
		bindThread(tid, on)
	}
	return met == vcpus
}
