// Command scripted stands in for QEMU where a test is about what becomes of a
// boot, not about the machine: it takes QEMU's arguments, reads the plan from
// the initramfs and plays kernel and guest. As with testdata/faulty, the plan's
// kernel name says which fault strikes when; the outcomes of its cells are made
// up, right for the affected kernel.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/cavaliergopher/cpio"

	"kqual/matrix"
	"kqual/runner/wire"
)

const victim = "victim"

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		fmt.Println("QEMU emulator version 0.0.0 (scripted)")
		return
	}
	m := parse(os.Args[1:])
	plan := m.plan()
	name, when, _ := strings.Cut(plan.Kernel, ".")
	when, mode, _ := strings.Cut(when, ".")
	last := plan.Cells[len(plan.Cells)-1].Watch.Name == victim
	strike := func(at string, hit bool) {
		if at != when || !hit || strings.HasPrefix(mode, "once") && last {
			return
		}
		m.say("faulty: " + name + " at " + when)
		m.fault(name)
	}
	m.say("Linux version 5.10.223")
	strike("boot", true)
	w := wire.NewWriter(m.records)
	write := func(r wire.Record) {
		if err := w.Write(r); err != nil {
			fail(err)
		}
	}
	write(wire.Record{Hello: &wire.Hello{Release: "5.10.223", CPUs: 2, Clocksource: "tsc"}})
	strike("start", true)
	for i, c := range plan.Cells {
		hit := c.Watch.Name == victim
		write(wire.Record{Begin: &i})
		strike("setup", hit)
		strike("trials", hit)
		write(wire.Record{Cell: &wire.Cell{Index: i, Outcome: outcome(c)}})
		strike("between", hit)
	}
	strike("teardown", true)
	write(wire.Record{Done: &wire.Done{Elapsed: 1}})
	strike("end", true)
	m.say("reboot: Power down")
}

// machine is what the arguments say.
type machine struct {
	initramfs        string
	console, records *os.File
}

func parse(args []string) *machine {
	m := &machine{}
	for i, a := range args {
		var n int
		switch {
		case a == "-initrd":
			m.initramfs = args[i+1]
		case strings.HasPrefix(a, "fd="):
			_, err := fmt.Sscanf(a, "fd=%d,set=1", &n)
			fail(err)
			m.console = os.NewFile(uintptr(n), "console")
		case strings.HasPrefix(a, "socket,id=records,"):
			_, err := fmt.Sscanf(a, "socket,id=records,fd=%d", &n)
			fail(err)
			m.records = os.NewFile(uintptr(n), "records")
		}
	}
	return m
}

func (m *machine) plan() *wire.Plan {
	f, err := os.Open(m.initramfs)
	fail(err)
	defer f.Close()
	for r := cpio.NewReader(f); ; {
		h, err := r.Next()
		fail(err)
		if "/"+h.Name != wire.PlanPath {
			continue
		}
		data, err := io.ReadAll(r)
		fail(err)
		plan := &wire.Plan{}
		fail(json.Unmarshal(data, plan))
		return plan
	}
}

// say writes a line to the console, as printk does.
func (m *machine) say(text string) {
	_, err := fmt.Fprintf(m.console, "[    1.000000] %s\r\n", text)
	fail(err)
}

func (m *machine) fault(name string) {
	switch name {
	case "panic":
		m.say("Kernel panic - not syncing: sysrq triggered crash")
		os.Exit(0)
	case "int3":
		m.say("Oops: int3: 0000 [#1] SMP NOPTI")
		m.say("Kernel panic - not syncing: Fatal exception in interrupt")
		os.Exit(0)
	case "sleep":
		time.Sleep(time.Hour)
	case "reset":
		os.Exit(0)
	case "sigkill":
		fail(syscall.Kill(os.Getpid(), syscall.SIGKILL))
		select {}
	case "garbage":
		_, err := fmt.Fprintln(m.records, "this is no record")
		fail(err)
		time.Sleep(time.Hour)
	default:
		fail(errors.New("no such fault: " + name))
	}
}

// outcome is one whose right verdict is affected for the plain watch and holds
// for the others.
func outcome(c matrix.Cell) matrix.Outcome {
	o := matrix.Outcome{Status: matrix.Measured, Stop: matrix.StopRuledOut}
	for range 24 {
		n := matrix.Counts{Trials: 40, Contested: 40, Decisive: 40}
		if c.Watch.Check != "getdents" {
			n.Stale, n.StaleDecisive = 40, 40
		}
		if c.Watch.Check == "nlink" {
			n.Recognised, n.RecognisedDecisive = 40, 40
		}
		o.Counts.Add(n)
		o.Blocks = append(o.Blocks, matrix.Block{Counts: n, Groups: 65, Sentinel: 39})
	}
	return o
}

func fail(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "scripted: %v\n", err)
		os.Exit(1)
	}
}
