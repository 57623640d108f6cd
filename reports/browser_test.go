package reports

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBrowserReport drives the page in a real browser: clicks, filters, keys,
// axe, hostile names, print, size. KQUAL_BROWSER=1 turns it on; a missing
// browser then fails. KQUAL_SHOTS names a directory for screenshots.
func TestBrowserReport(t *testing.T) {
	if os.Getenv("KQUAL_BROWSER") != "1" {
		t.Skip("KQUAL_BROWSER=1 drives a browser; make test-browser does")
	}
	dir := t.TempDir()
	shots := os.Getenv("KQUAL_SHOTS")
	if shots == "" {
		shots = dir
	}
	f, err := LookupFormat("html")
	if err != nil {
		t.Fatal(err)
	}
	write := func(name string, in Input) string {
		var b bytes.Buffer
		if err := f.Render(&b, Build(in), Options{Tail: hostileTail, Link: someLogs}); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	// As GitHub has it; the names in it are told apart by the reader tests.
	page := strings.ReplaceAll(pipe(t, Build(synthetic()), "markdown", markdownReader...), ` name="`, ` name="user-content-`)
	markdown := filepath.Join(dir, "markdown.html")
	if err := os.WriteFile(markdown, []byte("<!doctype html><meta charset=utf-8>"+page), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "test.mjs", write("report.html", synthetic()), write("large.html", large()), write("natural.html", withNatural()), markdown, shots)
	cmd.Dir = filepath.Join("..", "scripts", "browser")
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node test.mjs: %v", err)
	}
}
