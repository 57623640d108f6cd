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
	for name, script := range map[string]string{"gitlab": publishGitLab(t), "github": publishGitHub(t)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for _, id := range []string{"2026-11-09-2", "2026-11-24-9", "2026-11-24-10"} {
				night := filepath.Join(dir, "state", "runs", id)
				if err := os.MkdirAll(night, 0o755); err != nil {
					t.Fatal(err)
				}
				for _, file := range []string{"junit.xml", "summary.md", "changes.txt"} {
					if err := os.WriteFile(filepath.Join(night, file), []byte(id), 0o644); err != nil {
						t.Fatal(err)
					}
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "state", "index.html"), []byte("index"), 0o644); err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("bash", "-ec", script)
			cmd.Dir = dir
			page := filepath.Join(dir, "page.md")
			cmd.Env = append(os.Environ(), "GITHUB_STEP_SUMMARY="+page)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v %s", err, out)
			}
			if got := read(t, filepath.Join(dir, "published", "junit.xml")); got != "2026-11-24-10" {
				t.Errorf("published night %s", got)
			}
			if got := read(t, filepath.Join(dir, "published", "nights.html")); got != "index" {
				t.Errorf("published index %q", got)
			}
			if name == "github" && read(t, page) != "```text\n2026-11-24-10```\n2026-11-24-10" {
				t.Errorf("the page of the run is that of %s", read(t, page))
			}
		})
	}
}

func publishGitLab(t *testing.T) string {
	t.Helper()
	var file map[string]struct {
		After []string `yaml:"after_script"`
	}
	if err := yaml.Unmarshal([]byte(read(t, "gitlab-nightly.yml")), &file); err != nil {
		t.Fatal(err)
	}
	return strings.Join(file["nightly"].After, "\n")
}

func publishGitHub(t *testing.T) string {
	t.Helper()
	var file struct {
		Jobs map[string]struct {
			Steps []struct{ Name, Run string }
		}
	}
	if err := yaml.Unmarshal([]byte(read(t, "github-nightly.yml")), &file); err != nil {
		t.Fatal(err)
	}
	for _, s := range file.Jobs["nightly"].Steps {
		if s.Name == "Summary" {
			return s.Run
		}
	}
	t.Fatal("no step publishes")
	return ""
}

// exposure is how much systemd-analyze security may find a service exposed, in
// tenths: 0 is not at all, 100 is everything.
var exposure = map[string]string{"kqual-nightly.service": "20", "kqual-serve.service": "12"}

func TestTheUnitsAreValid(t *testing.T) {
	for unit := range exposure {
		for _, want := range []string{"NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryMax=", "TasksMax=", "StateDirectory=kqual", "SystemCallFilter="} {
			if !strings.Contains(read(t, unit), want) {
				t.Errorf("%s lacks %s", unit, want)
			}
		}
	}
	if !strings.Contains(read(t, "kqual-nightly.timer"), "Persistent=true") {
		t.Error("the timer forgets a night that was missed")
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		// It wants to see the program.
		text = strings.ReplaceAll(text, "/usr/local/bin/kqual", "/bin/true")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	units := []string{"kqual-nightly.timer"}
	for unit := range exposure {
		units = append(units, unit)
	}
	args := []string{"verify", "--man=no"}
	for _, unit := range units {
		write(unit, read(t, unit))
		args = append(args, filepath.Join(dir, unit))
	}
	analyze := func(args ...string) string {
		out, err := exec.Command("systemd-analyze", args...).CombinedOutput()
		if err != nil {
			return err.Error() + ": " + string(out)
		}
		return string(out)
	}
	if out := analyze(args...); strings.Contains(out, "kqual") {
		t.Errorf("systemd-analyze verify: %s", out)
	}
	if help := analyze("--help"); !strings.Contains(help, "--offline") { // from systemd 250
		t.Log("systemd-analyze cannot tell how exposed a unit is that is not installed")
	} else {
		for unit, limit := range exposure {
			check := []string{"security", "--offline=true", "--no-pager", "--threshold=" + limit, filepath.Join(dir, unit)}
			if out := analyze(check...); strings.HasPrefix(out, "exit status") {
				t.Errorf("systemd-analyze security of %s: more than %s\n%s", unit, limit, out)
			}
			write(unit, strings.Replace(read(t, unit), "ProtectSystem=strict", "", 1))
			if out := analyze(check...); !strings.HasPrefix(out, "exit status") {
				t.Errorf("%s may write everywhere, and that is not noticed", unit)
			}
		}
	}
	for _, unit := range units {
		write(unit, strings.Replace(strings.Replace(read(t, unit), "MemoryMax=", "MemoryMax=a lot of ", 1), "OnCalendar=", "OnCalendar=never ", 1))
		if out := analyze("verify", "--man=no", filepath.Join(dir, unit)); !strings.Contains(out, "kqual") {
			t.Errorf("a mistake in %s is not noticed: %s", unit, out)
		}
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
