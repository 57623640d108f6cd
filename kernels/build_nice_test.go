package kernels

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a build starts must not take CPUs from a race on the same host.
func TestABuildGivesWay(t *testing.T) {
	dir := t.TempDir()
	lock, err := os.Create(filepath.Join(dir, "lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	// The child is one of a child's, as a compiler is of make's; it comes a while
	// after the start.
	const script = `sleep 0.2; sh -c 'cut -d" " -f19 /proc/self/stat; cat /proc/self/autogroup 2>/dev/null || echo "none nice 19"' > out`
	if _, err := runCommand(context.Background(), lock, nil, dir, "sh", "-c", script); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 || lines[0] != "19" || !strings.HasSuffix(lines[1], "nice 19") {
		t.Errorf("nice value and autogroup are %q, want 19 and 19", lines)
	}
}
