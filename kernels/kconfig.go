package kernels

import (
	"bufio"
	"os"
	"strings"
)

// configOptions are the kernel options that matter to the outcome.
var configOptions = []string{
	"SMP", "NR_CPUS", "HZ", "PREEMPT_NONE", "PREEMPT_VOLUNTARY", "PREEMPT", "PREEMPT_LAZY", "PREEMPT_DYNAMIC", "PREEMPT_RT",
	"INOTIFY_USER", "FANOTIFY", "FHANDLE", "TMPFS",
}

// readKconfig picks the options that matter out of a kernel's .config:
// name without CONFIG_ → value, only those that are set. A missing file gives
// an empty map.
func readKconfig(path string) map[string]string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	wanted := map[string]bool{}
	for _, name := range configOptions {
		wanted[name] = true
	}
	options := map[string]string{}
	for s := bufio.NewScanner(f); s.Scan(); {
		name, value, ok := strings.Cut(strings.TrimPrefix(s.Text(), "CONFIG_"), "=")
		if ok && wanted[name] {
			options[name] = value
		}
	}
	return options
}
