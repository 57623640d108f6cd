package cli

import (
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"kqual/reports"
)

// host describes this machine, for reports.
func host() reports.Host {
	h := reports.Host{CPUs: runtime.NumCPU(), CPUModel: cpuModel()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		h.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return h
}

// cpuModel is the model name of /proc/cpuinfo, "" where there is none.
func cpuModel() string {
	data, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}
