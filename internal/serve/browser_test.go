package serve

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// TestBrowserNights clicks through the nights in a real browser. KQUAL_BROWSER=1
// turns it on; a missing browser then fails.
func TestBrowserNights(t *testing.T) {
	if os.Getenv("KQUAL_BROWSER") != "1" {
		t.Skip("KQUAL_BROWSER=1 drives a browser; make test-browser does")
	}
	s := newSite(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "serve.mjs", s.url)
	cmd.Dir = filepath.Join("..", "..", "scripts", "browser")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node serve.mjs: %v", err)
	}
}
