package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"kqual/matrix"
	"kqual/runner/wire"
)

// Main is PID 1: it does what the plan in the initramfs says, reports over the
// serial port that it names and powers the machine off. It never returns.
func Main() {
	defer powerOff()
	defer func() {
		if r := recover(); r != nil {
			fmt.Printf("kqual guest: %v\n%s", r, debug.Stack())
		}
	}()
	// The deleter runs on this goroutine; its thread must not change.
	runtime.LockOSThread()
	if err := run(); err != nil {
		fmt.Printf("kqual guest: %v\n", err)
	}
}

func run() error {
	if err := mountBasics(); err != nil {
		return err
	}
	plan, err := readPlan()
	if err != nil {
		return err
	}
	ch, err := openChannel(plan.Channel)
	if err != nil {
		return err
	}
	defer ch.drain()
	w := wire.NewWriter(ch)
	begin := time.Now()
	hello, err := greet()
	if err != nil {
		return err
	}
	if err := w.Write(wire.Record{Hello: hello}); err != nil {
		return err
	}
	reach(Greeted, nil)
	if !plan.Probe {
		if err := ch.await(); err != nil {
			return err
		}
		if note := prepare(plan, hello.CPUs); note != "" {
			if err := w.Write(wire.Record{Note: note}); err != nil {
				return err
			}
		}
		if plan.Cost != nil {
			if err = measureCosts(w, plan.Cost); err != nil {
				err = fmt.Errorf("measure costs: %w", err)
			}
		} else {
			err = measureAll(ch, w, plan, hello.CPUs)
		}
		if err != nil {
			return err
		}
	}
	reach(Finished, nil)
	if err := w.Write(wire.Record{Done: &wire.Done{Elapsed: time.Since(begin)}}); err != nil {
		return err
	}
	ch.drain()
	reach(Said, nil)
	return nil
}

// measureAll goes through the plan: filesystem by filesystem the order
// witnesses, then the cells.
func measureAll(ch *channel, w *wire.Writer, plan *wire.Plan, cpus int) error {
	m := &machine{
		cpus: cpus, sampling: plan.Sampling, pools: map[string]*pool{},
		rng: rand.New(rand.NewPCG(plan.Seed, 0)),
	}
	log := openKernelLog()
	for _, fs := range plan.Filesystems {
		root, mountErr := mountFilesystem(fs)
		if mountErr == nil {
			for _, wit := range witnesses(fs.Name, root, plan.Cells) {
				if err := w.Write(wire.Record{Witness: &wit}); err != nil {
					return err
				}
			}
		}
		for i, c := range plan.Cells {
			if c.Filesystem != fs.Name {
				continue
			}
			if err := w.Write(wire.Record{Begin: &i}); err != nil {
				return err
			}
			ch.drain() // a cell may end the kernel: the host must know which
			reach(Began, &c)
			m.beat = heart(w, &c)
			out := matrix.Outcome{}
			var r *refusal
			switch {
			case errors.As(mountErr, &r):
				out.Status, out.Refusal = matrix.Unsupported, &r.Refusal
			case mountErr != nil:
				out.Status, out.Failure = matrix.Failed, mountErr.Error()
			default:
				out = m.cell(c, root)
			}
			out.KernelLog = log.take()
			if err := w.Write(wire.Record{Cell: &wire.Cell{Index: i, Outcome: out}}); err != nil {
				return err
			}
			reach(Answered, &c)
		}
	}
	return nil
}

// beatEvery is how often a cell shows that it is alive. A beat is 80 bytes on the
// serial port, so that it touches one trial in some thousand.
const beatEvery = time.Second

// heart returns a function that writes a beat of the cell where the last is old
// enough. A channel that is lost shows at the cell's own record.
func heart(w *wire.Writer, cell *matrix.Cell) func(matrix.Counts) {
	last := time.Now()
	return func(c matrix.Counts) {
		reach(Trying, cell)
		if time.Since(last) < beatEvery {
			return
		}
		last = time.Now()
		_ = w.Write(wire.Record{Beat: &wire.Beat{Trials: c.Trials, Stale: c.Stale}})
	}
}

// prepare loads modules and lifts limits; it returns what went wrong, if
// anything: the cells that need it will say so themselves.
func prepare(plan *wire.Plan, cpus int) string {
	var notes []string
	for _, path := range plan.Modules {
		if err := loadModule(path); err != nil {
			notes = append(notes, err.Error())
		}
	}
	limit := unix.Rlimit{Cur: 1 << 16, Max: 1 << 16}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		notes = append(notes, "setrlimit: "+err.Error())
	}
	oneCPU = cpus == 1
	if !oneCPU {
		pinTo(0)
	}
	return strings.Join(notes, "; ")
}

func readPlan() (*wire.Plan, error) {
	data, err := os.ReadFile(wire.PlanPath)
	if err != nil {
		return nil, err
	}
	plan := &wire.Plan{}
	if err := json.Unmarshal(data, plan); err != nil {
		return nil, fmt.Errorf("parse %s: %w", wire.PlanPath, err)
	}
	if plan.Version != wire.Version {
		return nil, fmt.Errorf("the plan has version %d, this guest knows %d", plan.Version, wire.Version)
	}
	return plan, nil
}

func greet() (*wire.Hello, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return nil, fmt.Errorf("clock_gettime: %w", err)
	}
	clock, err := os.ReadFile("/sys/devices/system/clocksource/clocksource0/current_clocksource")
	if err != nil {
		clock = []byte("unknown")
	}
	return &wire.Hello{
		Release: unix.ByteSliceToString(u.Release[:]), Version: unix.ByteSliceToString(u.Version[:]),
		CPUs: runtime.NumCPU(), Clocksource: strings.TrimSpace(string(clock)), Uptime: ts.Nano(),
	}, nil
}

// powerOff ends the machine; the kernel would panic if PID 1 returned.
func powerOff() {
	unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {} // not reached where power-off works
}
