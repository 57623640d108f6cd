package main

import (
	"errors"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Faults of the guest's own: it dies, hangs or gets its clock set.

func init() {
	faults["exit"] = func() { os.Exit(3) }
	faults["crash"] = func() {
		aside(func() {
			var nowhere *int
			*nowhere = 1
		})
		select {}
	}
	faults["give-up"] = func() { panic(errors.New("the guest gives up")) }
	faults["sleep"] = func() { time.Sleep(time.Hour) }
	faults["spin"] = func() {
		for {
		}
	}
	// The host does it to this guest: signals to QEMU.
	for _, name := range []string{"sigkill", "sigsegv", "sigabrt", "sigterm", "sigstop"} {
		faults[name] = faults["sleep"]
	}

	faults["clock-forward"] = func() { setClock(time.Now().AddDate(10, 0, 0)) }
	faults["clock-back"] = func() { setClock(time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)) }
	faults["clock-source"] = func() {
		const dir = "/sys/devices/system/clocksource/clocksource0/"
		all, _ := os.ReadFile(dir + "available_clocksource")
		now, _ := os.ReadFile(dir + "current_clocksource")
		for _, name := range strings.Fields(string(all)) {
			if name != strings.TrimSpace(string(now)) {
				write(dir+"current_clocksource", name)
				return
			}
		}
		fail("find another clock source in %q", all)
	}
	faults["other-release"] = func() {
		const uname26 = 0x0020000 // UNAME26 of personality(2): uname -r says 2.6
		if _, _, errno := unix.Syscall(unix.SYS_PERSONALITY, uname26, 0, 0); errno != 0 {
			fail("personality: %v", errno)
		}
	}
}

func init() {
	// The disk of a mounted filesystem goes away.
	faults["disk-unplug"] = func() { write("/sys/block/vda/device/../remove", "1") }
}

func setClock(to time.Time) {
	ts := unix.NsecToTimespec(to.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &ts); err != nil {
		fail("clock_settime: %v", err)
	}
}
