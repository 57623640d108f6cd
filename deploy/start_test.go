package deploy

import (
	"bufio"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kqual/internal/nightly"
)

// installed is a system with kqual on it, below a directory: the paths of the
// files here lead there.
type installed struct {
	*testing.T
	dir   string
	moved *strings.Replacer
}

// noKernel has a kernel that cannot be had: a night is over at once, and says
// that it has no answer.
const noKernel = `version: 1
name: installed
kernels:
  - {name: gone, file: {vmlinuz: /nowhere/vmlinuz}}
filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
`

func install(t *testing.T) *installed {
	t.Helper()
	dir := t.TempDir()
	buildInto(t, filepath.Join(dir, "/usr/local/bin/kqual"))
	var pairs []string
	for _, place := range []string{"/usr/local/bin", "/etc/kqual", "/var/lib/kqual", "/var/cache/kqual"} {
		if err := os.MkdirAll(filepath.Join(dir, place), 0o755); err != nil {
			t.Fatal(err)
		}
		pairs = append(pairs, place, filepath.Join(dir, place))
	}
	if err := os.WriteFile(filepath.Join(dir, "/etc/kqual/matrix.yaml"), []byte(noKernel), 0o644); err != nil {
		t.Fatal(err)
	}
	return &installed{t, dir, strings.NewReplacer(pairs...)}
}

func buildInto(t *testing.T, path string) {
	t.Helper()
	build := exec.Command("go", "build", "-ldflags", "-X kqual/internal/cli.version=v0.0.0-installed", "-o", path, "kqual")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build kqual: %v\n%s", err, out)
	}
}

// service is the main command of a unit as systemd would start it. Source:
// systemd.exec(5), "Environment variables in spawned processes".
func (i *installed) service(unit string) *exec.Cmd {
	i.Helper()
	set := map[string][]string{}
	for line := range strings.Lines(i.moved.Replace(read(i.T, unit))) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(key, "#") {
			set[key] = append(set[key], value)
		}
	}
	if len(set["ExecStart"]) != 1 {
		i.Fatalf("%s starts %q", unit, set["ExecStart"])
	}
	words := strings.Fields(set["ExecStart"][0])
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = "/"
	if dir := set["WorkingDirectory"]; len(dir) > 0 {
		cmd.Dir = dir[0]
	}
	cmd.Env = append([]string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "USER=kqual", "LOGNAME=kqual",
		"HOME=" + i.moved.Replace("/var/lib/kqual"), "SHELL=/usr/sbin/nologin", "INVOCATION_ID=0123456789abcdef0123456789abcdef",
	}, set["Environment"]...)
	return cmd
}

// cron is the one job of the crontab as cron would start it. Source: crontab(5):
// the system's crontabs name a user before the command, which /bin/sh gets.
func (i *installed) cron() *exec.Cmd {
	i.Helper()
	env := map[string]string{"HOME": i.moved.Replace("/var/lib/kqual"), "LOGNAME": "kqual", "PATH": "/usr/bin:/bin", "SHELL": "/bin/sh"}
	setting, job := regexp.MustCompile(`^(\w+)\s*=\s*(.*)$`), regexp.MustCompile(`^(?:\S+\s+){5}(\S+)\s+(.*)$`)
	var cmd *exec.Cmd
	for line := range strings.Lines(i.moved.Replace(read(i.T, "crontab"))) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if m := setting.FindStringSubmatch(line); m != nil {
			env[m[1]] = m[2]
		} else if m := job.FindStringSubmatch(line); m != nil && cmd == nil {
			cmd = exec.Command(env["SHELL"], "-c", m[2])
		} else {
			i.Fatalf("crontab: %s", line)
		}
	}
	if cmd == nil {
		i.Fatal("the crontab has no job")
	}
	cmd.Dir = env["HOME"]
	for _, key := range slices.Sorted(maps.Keys(env)) {
		cmd.Env = append(cmd.Env, key+"="+env[key])
	}
	return cmd
}

// night runs a command that must make a night, whose kernel cannot be had, and
// say so.
func (i *installed) night(cmd *exec.Cmd) string {
	i.Helper()
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "/nowhere/vmlinuz") || !strings.Contains(string(out), "(exit 3)") {
		i.Fatalf("%q: %v\n%s", cmd.Args, err, out)
	}
	state := i.moved.Replace("/var/lib/kqual")
	nights, err := nightly.Nights(state)
	if err != nil || len(nights) == 0 {
		i.Fatalf("nights %v, %v\n%s", nights, err, out)
	}
	last := nights[len(nights)-1]
	for _, file := range []string{nightly.Dir(state, last) + "/" + nightly.NightName, nightly.Dir(state, last) + "/report.html", state + "/" + nightly.IndexName} {
		if _, err := os.Stat(file); err != nil {
			i.Error(err)
		}
	}
	if cache, err := os.ReadDir(i.moved.Replace("/var/cache/kqual")); err != nil || len(cache) == 0 {
		i.Errorf("the cache is not where it should be: %v, %v", cache, err)
	}
	return last
}

// What the units and the crontab start works as it stands there, with nothing
// in its environment that systemd and cron do not put there.
func TestWhatTheFilesStartWorks(t *testing.T) {
	i := install(t)
	nightlyService := i.service("kqual-nightly.service")
	first := i.night(nightlyService)
	if code := nightlyService.ProcessState.ExitCode(); code != 3 { // systemd counts it as failed
		t.Errorf("exit %d, want 3", code)
	}
	second := i.night(i.cron())
	if first == second {
		t.Errorf("cron made no night of its own: %s", second)
	}

	serve := i.service("kqual-serve.service")
	serve.Args = append(serve.Args, "--listen", "127.0.0.1:0") // the port may be taken here
	stderr, err := serve.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	defer serve.Process.Kill()
	var said strings.Builder
	address := ""
	for in := bufio.NewScanner(stderr); address == "" && in.Scan(); {
		said.WriteString(in.Text() + "\n")
		address = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(in.Text())
	}
	for path, want := range map[string]string{"": second, "healthz": "ok", "metrics": "kqual_last_night_exit 3"} {
		client := http.Client{Timeout: 10 * time.Second}
		res, err := client.Get(address + path)
		if err != nil {
			t.Fatalf("%v\n%s", err, said.String())
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("/%s: %s, %v, want %q:\n%s", path, res.Status, err, want, body)
		}
	}
	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := serve.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

// What a good night says is not mailed.
func TestCronIsSilentAboutAGoodNight(t *testing.T) {
	i := install(t)
	for code, want := range map[string]string{"0": "", "1": "a night\nan error\n", "3": "a night\nan error\n"} {
		program := "#!/bin/sh\necho a night\necho an error >&2\nexit " + code + "\n"
		path := i.moved.Replace("/usr/local/bin") + "/kqual"
		if err := os.WriteFile(path, []byte(program), 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := i.cron().CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("a night that ends with %s: %v, %q, want %q", code, err, out, want)
		}
	}
}
