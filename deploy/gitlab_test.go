package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// GitLab's schema of CI files, as gitlab-ci-local has it from GitLab, and its
// own reading of the job. KQUAL_BROWSER=1 turns it on, as every test that needs
// npm; a missing reader then fails.
func TestReaderOfGitLabTakesTheJob(t *testing.T) {
	if os.Getenv("KQUAL_BROWSER") != "1" {
		t.Skip("KQUAL_BROWSER=1 reads the job as GitLab does; make test-browser does")
	}
	program, err := filepath.Abs("../scripts/browser/node_modules/gitlab-ci-local/src/index.js")
	if err != nil {
		t.Fatal(err)
	}
	list := func(text string) (string, error) {
		t.Helper()
		dir := t.TempDir()
		if out, err := exec.Command("git", "init", "--quiet", dir).CombinedOutput(); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		if err := os.WriteFile(filepath.Join(dir, ".gitlab-ci.yml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("node", program, "--list-all")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	text := read(t, "gitlab-nightly.yml")
	if out, err := list(text); err != nil || !strings.Contains(out, "json schema validated") || !strings.Contains(out, "\nnightly ") {
		t.Errorf("%v\n%s", err, out)
	}
	for good, bad := range map[string]string{"expire_in:": "expire_inn:", "timeout: 5h": "timeout: [5h]", "junit: published/junit.xml": "junit: {file: x}", "resource_group:": "resource_groups:"} {
		broken := strings.Replace(text, good, bad, 1)
		if out, err := list(broken); broken == text || err == nil && !strings.Contains(out, "Invalid .gitlab-ci.yml") {
			t.Errorf("%s is not noticed: %v\n%s", bad, err, out)
		}
	}
}
