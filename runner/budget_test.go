package runner

import (
	"os"
	"path/filepath"
	"testing"
)

// fakeHost writes the files that tell of a host's limits.
func fakeHost(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestUsableCPUs(t *testing.T) {
	eight := []int{0, 1, 2, 3, 4, 5, 6, 7}
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int
	}{
		{"no limit", nil, 8},
		{"version 2", map[string]string{"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "max 100000\n", "sys/fs/cgroup/a/cpu.max": "250000 100000\n"}, 2},
		{"less than one", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/cpu.max": "50000 100000\n"}, 1},
		{"version 1", map[string]string{
			"proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/a\n", "sys/fs/cgroup/cpu/a/cpu.cfs_quota_us": "400000\n", "sys/fs/cgroup/cpu/a/cpu.cfs_period_us": "100000\n",
		}, 4},
		{"version 1 without a limit", map[string]string{
			"proc/self/cgroup": "1:cpu:/\n", "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
		}, 8},
	} {
		if got := usableCPUs(fakeHost(t, tt.files), eight); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}

func TestAvailableMemory(t *testing.T) {
	const info = "MemTotal:       8000 kB\nMemFree:         100 kB\nMemAvailable:   5000 kB\n"
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"the host's", nil, 5000 << 10},
		{"version 2", map[string]string{
			"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "3000000\n", "sys/fs/cgroup/a/memory.current": "2500000\n",
			"sys/fs/cgroup/a/memory.stat": "anon 5\ninactive_file 500000\n",
		}, 1000000},
		{"version 2 without a limit", map[string]string{"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "max\n", "sys/fs/cgroup/a/memory.current": "2500000\n"}, 5000 << 10},
		{"version 1", map[string]string{
			"proc/self/cgroup": "2:memory:/a\n", "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "4000000\n", "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "1000000\n",
		}, 3000000},
		{"used up", map[string]string{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "10\n", "sys/fs/cgroup/memory.current": "20\n"}, 0},
	} {
		files := map[string]string{"proc/meminfo": info}
		for k, v := range tt.files {
			files[k] = v
		}
		if got := availableMemory(fakeHost(t, files)); got != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, got, tt.want)
		}
	}
}
