package runner

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// affinity lists the CPUs that a thread may run on.
func affinity(t *testing.T, tid int) []int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(tid, &set); err != nil {
		t.Fatal(err)
	}
	var out []int
	for cpu := 0; len(out) < set.Count(); cpu++ {
		if set.IsSet(cpu) {
			out = append(out, cpu)
		}
	}
	return out
}

func TestThreadsOfVirtualCPUsGetOneCPUEach(t *testing.T) {
	all := hostCPUs()
	if len(all) < 2 {
		t.Skip("one CPU")
	}
	cpus := all[:2]
	release := make(chan struct{})
	tids := make(chan [2]int)
	var gone sync.WaitGroup
	for n := range 2 {
		gone.Go(func() {
			runtime.LockOSThread() // never unlocked: the thread goes with its place
			_ = os.WriteFile("/proc/thread-self/comm", fmt.Appendf(nil, "CPU %d/TCG", n), 0)
			tids <- [2]int{n, unix.Gettid()}
			<-release
			_ = os.WriteFile("/proc/thread-self/comm", []byte("through"), 0) // the first thread stays
		})
	}
	defer gone.Wait()
	defer close(release)
	tid := map[int]int{}
	for range 2 {
		x := <-tids
		tid[x[0]] = x[1]
	}
	if !settleThreads(os.Getpid(), 2, cpus) {
		t.Fatal("it did not meet both")
	}
	for n, id := range tid {
		if got := affinity(t, id); len(got) != 1 || got[0] != cpus[n] {
			t.Errorf("virtual CPU %d is on %v, want %d alone", n, got, cpus[n])
		}
	}
	main := os.Getpid() // the first thread's, too
	if got := affinity(t, main); main != tid[0] && main != tid[1] && len(got) != 2 {
		t.Errorf("another thread is on %v, want %v", got, cpus)
	}
	if settleThreads(main, 3, all) {
		t.Error("it met a virtual CPU that there is not")
	}
	settleThreads(main, 0, all) // back, for the tests that follow
}

// QEMU is found by its name among the processes, and kept where it may be.
func TestAMachineIsConfined(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command("sh")
	cmd.Args = []string{"qemu-system-x86_64", "-c", "read x", "kqual-test-affinity"}
	cmd.Stdin = in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	v := &vm{name: "kqual-test-affinity", ended: make(chan struct{})}
	one := hostCPUs()[:1]
	v.confine(one) // before it is found
	begin := time.Now()
	v.raise(t.Context())
	if int(v.pid.Load()) != cmd.Process.Pid || time.Since(begin) > time.Second {
		t.Errorf("found process %d after %s, want %d", v.pid.Load(), time.Since(begin), cmd.Process.Pid)
	}
	if got := affinity(t, cmd.Process.Pid); len(got) != 1 || got[0] != one[0] {
		t.Errorf("it is on %v, want %v", got, one)
	}
	v.confine(nil) // no CPU without a race: it stays
	out.Close()
	_ = cmd.Wait()
}
