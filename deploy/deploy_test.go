package deploy

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rhysd/actionlint"
	"gopkg.in/yaml.v3"
)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestTheGitHubWorkflowIsValid(t *testing.T) {
	lint := func(text string) []*actionlint.Error {
		t.Helper()
		l, err := actionlint.NewLinter(io.Discard, &actionlint.LinterOptions{})
		if err != nil {
			t.Fatal(err)
		}
		errs, err := l.Lint("nightly.yml", []byte(text), nil)
		if err != nil {
			t.Fatal(err)
		}
		return errs
	}
	text := read(t, "github-nightly.yml")
	for _, e := range lint(text) {
		t.Errorf("github-nightly.yml:%d: %s", e.Line, e.Message)
	}
	if len(lint(strings.Replace(text, "inputs.force", "inputs.farce", 1))) == 0 {
		t.Error("a mistake in the workflow is not noticed")
	}
}

// gitlabKeys are the keywords of a job that the file uses. Source: GitLab's
// CI/CD YAML syntax reference.
var gitlabKeys = map[string]bool{
	"image": true, "timeout": true, "rules": true, "resource_group": true, "variables": true, "cache": true,
	"before_script": true, "script": true, "after_script": true, "artifacts": true,
}

func TestTheGitLabJobIsValid(t *testing.T) {
	var file map[string]map[string]any
	if err := yaml.Unmarshal([]byte(read(t, "gitlab-nightly.yml")), &file); err != nil {
		t.Fatal(err)
	}
	job := file["nightly"]
	if len(file) != 1 || job == nil {
		t.Fatalf("it has the jobs %v", file)
	}
	for key := range job {
		if !gitlabKeys[key] {
			t.Errorf("unknown keyword %s", key)
		}
	}
	for _, key := range []string{"before_script", "script", "after_script"} {
		lines, ok := job[key].([]any)
		if !ok || len(lines) == 0 {
			t.Errorf("%s is no list of commands", key)
		}
		for _, l := range lines {
			cmd := exec.Command("sh", "-n")
			cmd.Stdin = strings.NewReader(l.(string))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: %s: %v %s", key, l, err, out)
			}
		}
	}
	junit := job["artifacts"].(map[string]any)["reports"].(map[string]any)["junit"]
	if junit != "published/junit.xml" {
		t.Errorf("the JUnit file is %v", junit)
	}
}

// What the workflows do with the state after a night publishes the last one.
func TestTheLastNightIsPublished(t *testing.T) {
	var file map[string]struct {
		After []string `yaml:"after_script"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "gitlab-nightly.yml")), &file); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, id := range []string{"2026-11-09-2", "2026-11-24-9", "2026-11-24-10"} {
		night := filepath.Join(dir, "state", "runs", id)
		if err := os.MkdirAll(night, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(night, "junit.xml"), []byte(id), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "state", "index.html"), []byte("index"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-ec", strings.Join(file["nightly"].After, "\n"))
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	if got := read(t, filepath.Join(dir, "published", "junit.xml")); got != "2026-11-24-10" {
		t.Errorf("published night %s", got)
	}
	if got := read(t, filepath.Join(dir, "published", "nights.html")); got != "index" {
		t.Errorf("published index %q", got)
	}
}

func TestTheUnitsAreValid(t *testing.T) {
	service, timer := read(t, "kqual-nightly.service"), read(t, "kqual-nightly.timer")
	for _, want := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryMax=", "TasksMax=", "StateDirectory=kqual"} {
		if !strings.Contains(service, want) {
			t.Errorf("the service lacks %s", want)
		}
	}
	if !strings.Contains(timer, "Persistent=true") {
		t.Error("the timer forgets a night that was missed")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	// It wants to see the program.
	service = strings.ReplaceAll(service, "/usr/local/bin/kqual", "/bin/true")
	for name, text := range map[string]string{"kqual-nightly.service": service, "kqual-nightly.timer": timer} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verify := func() string {
		out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, "kqual-nightly.service"), filepath.Join(dir, "kqual-nightly.timer")).CombinedOutput()
		if err != nil {
			return err.Error() + ": " + string(out)
		}
		return string(out)
	}
	if out := verify(); strings.Contains(out, "kqual") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	broken := strings.Replace(service, "MemoryMax=8G", "MemoryMax=a lot", 1)
	if err := os.WriteFile(filepath.Join(dir, "kqual-nightly.service"), []byte(broken), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := verify(); !strings.Contains(out, "kqual") {
		t.Errorf("a mistake in the unit is not noticed: %s", out)
	}
}

func TestTheCrontabNamesAUserAndACommand(t *testing.T) {
	for line := range strings.Lines(read(t, "crontab")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "KQUAL_CACHE=") {
			continue
		}
		f := strings.Fields(line)
		if len(f) < 7 || f[5] != "kqual" || strings.Contains(line, "%") { // % is a newline to cron
			t.Errorf("crontab: %s", line)
		}
	}
}
