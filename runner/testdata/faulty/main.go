// Command faulty is kqual's guest with a fault in it. The plan's kernel name
// says which and when: "panic.trials" panics between two trials of the cell
// whose watch is called victim. With ".once" behind that it does so only in the
// first boot. Before a fault strikes, it is announced on the console:
// "faulty: panic at trials".
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"kqual/matrix"
	"kqual/runner/guest"
	"kqual/runner/wire"
)

// victim is the watch whose cell the faults of cells strike.
const victim = "victim"

// warmUp is how many trials a cell runs before a fault strikes at "trials".
const warmUp = 20

// faults by name. One that returns lets the guest go on.
var faults = map[string]func(){}

func main() {
	if len(os.Args) > 1 && os.Args[1] == eater { // started by itself
		eat()
	}
	runtime.LockOSThread() // faults may change this thread
	plan, err := readPlan()
	if err != nil {
		fail("read the plan: %v", err)
	}
	name, when, _ := strings.Cut(plan.Kernel, ".")
	when, mode, _ := strings.Cut(when, ".")
	act := faults[name]
	if act == nil { // a kernel without a fault
		guest.Main()
	}
	last := len(plan.Cells) == 0 || plan.Cells[len(plan.Cells)-1].Watch.Name == victim
	if strings.HasPrefix(mode, "once") && last {
		guest.Main() // in the second boot the victim comes last
	}
	strike := func() {
		announce(name, when)
		act()
	}
	mount()
	if when == "boot" {
		strike()
	}
	trials := 0
	guest.OnStage = func(s guest.Stage, cell *matrix.Cell) {
		hit := cell != nil && cell.Watch.Name == victim
		switch {
		case when == "start" && s == guest.Greeted,
			when == "setup" && s == guest.Began && hit,
			when == "between" && s == guest.Answered && hit,
			when == "teardown" && s == guest.Finished,
			when == "end" && s == guest.Said:
			strike()
		case when == "trials" && s == guest.Trying && hit:
			if trials++; trials == warmUp {
				strike()
			}
		}
	}
	guest.Main()
}

func readPlan() (*wire.Plan, error) {
	data, err := os.ReadFile(wire.PlanPath)
	if err != nil {
		return nil, err
	}
	plan := &wire.Plan{}
	return plan, json.Unmarshal(data, plan)
}

// mount mounts what faults need; the guest finds it there.
func mount() {
	for _, m := range []struct{ kind, dir string }{
		{"proc", "/proc"},
		{"sysfs", "/sys"},
		{"devtmpfs", "/dev"},
	} {
		if err := os.MkdirAll(m.dir, 0o755); err != nil {
			fail("make %s: %v", m.dir, err)
		}
		if err := unix.Mount(m.kind, m.dir, m.kind, 0, ""); err != nil && err != unix.EBUSY {
			fail("mount %s: %v", m.dir, err)
		}
	}
}

// announce says what comes, when everything that was said before has left the
// ports: a kernel that dies would take it along.
func announce(name, when string) {
	for _, port := range []string{"/dev/ttyS1", "/dev/ttyS0"} {
		f, err := os.OpenFile(port, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			fail("%v", err)
		}
		if port == "/dev/ttyS0" {
			fmt.Fprintf(f, "faulty: %s at %s\n", name, when)
		}
		_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1) // tcdrain(3)
		f.Close()
	}
}

// fail ends a guest whose fault cannot be made: the test must not take that for
// the fault.
func fail(format string, args ...any) {
	fmt.Printf("faulty: cannot: "+format+"\n", args...)
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

// write writes a file of the kernel's.
func write(path, text string) {
	if err := os.WriteFile(path, []byte(text), 0); err != nil {
		fail("%v", err)
	}
}
