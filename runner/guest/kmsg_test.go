package guest

import (
	"strings"
	"testing"
)

func TestOnlyTheKernelsOwnWarningsAreTaken(t *testing.T) {
	for _, c := range []struct{ record, want string }{
		{"4,745,2500000,-;WARNING: CPU: 0 PID: 1 at fs/inode.c:1 drop_nlink+0x1/0x2\n SUBSYSTEM=x\n", "WARNING: CPU: 0 PID: 1 at fs/inode.c:1 drop_nlink+0x1/0x2"},
		{"0,1,1,-;Kernel panic - not syncing: x\n", "Kernel panic - not syncing: x"},
		{"6,1,1,-;EXT4-fs (vda): mounted filesystem\n", ""},
		{"12,1,1,-;WARNING: from a program\n", ""}, // LOG_USER<<3 | 4
		{"4,1,1,-", ""},
		{"x;y\n", ""},
		{"", ""},
		{"3,1,1,-;" + strings.Repeat("x", 9999), strings.Repeat("x", maxKernelLine)},
	} {
		if got, ok := kernelWarning([]byte(c.record)); got != c.want || ok != (c.want != "") {
			t.Errorf("%.40q: %q, %t", c.record, got, ok)
		}
	}
}
