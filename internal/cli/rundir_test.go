package cli

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kqual/matrix"
	"kqual/reports"
)

// own runs without --out, in the bench's directory.
func (b *bench) own(ctx context.Context, args ...string) int {
	b.t.Helper()
	return b.app.main(ctx, append([]string{"run"}, args...))
}

// ownDirs are the runs that there are, the oldest first.
func ownDirs(t *testing.T) []string {
	t.Helper()
	dirs, err := filepath.Glob("runs/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

func clean(matrix.Cell) *matrix.Outcome { return cleanOutcome() }

func TestARunHasADirectoryOfItsOwn(t *testing.T) {
	b := newBench(t, fake(clean, nil))
	t.Chdir(b.dir)
	if err := os.MkdirAll("runs", 0o755); err != nil {
		t.Fatal(err)
	}
	// A run was killed just before it moved runs/latest.
	if err := os.Symlink("2026-01-01-000000-0000", "runs/.latest.2026-01-01-000000-0000"); err != nil {
		t.Fatal(err)
	}
	for n := range 2 {
		if code := b.own(t.Context()); code != exitOK {
			t.Fatalf("exit %d: %s", code, b.err.String())
		}
		dirs := ownDirs(t)
		if len(dirs) != n+1 || !isRun(dirs[n]) {
			t.Fatalf("runs are %q", dirs)
		}
		// The two may have begun in one second.
		latest, err := os.Readlink("runs/latest")
		if err != nil || !slices.Contains(dirs, filepath.Join("runs", latest)) {
			t.Fatalf("runs/latest is %q (%v), runs are %q", latest, err, dirs)
		}
		for _, name := range []string{"matrix.yaml", "results.json", "report.md"} {
			if _, err := os.Stat(filepath.Join("runs/latest", name)); err != nil {
				t.Error(err)
			}
		}
		if !strings.HasSuffix(b.err.String(), "kqual: this run is kept in runs/"+latest+"\n") {
			t.Errorf("it said %q", b.err.String())
		}
	}
	if text, _ := os.ReadFile("runs/latest/matrix.yaml"); string(text) != smallMatrix {
		t.Errorf("the matrix of the run is %q", text)
	}
	out := b.out.String()
	if code := b.app.main(t.Context(), []string{"report"}); code != exitOK || !strings.HasPrefix(b.out.String()[len(out):], "small: 2 kernels") {
		t.Errorf("exit %d: report says %q", code, b.out.String()[len(out):])
	}
	if left, _ := filepath.Glob("runs/.*"); len(left) > 0 {
		t.Errorf("left %q", left)
	}
}

func TestResumeFindsTheLastUnfinishedRunOfTheMatrix(t *testing.T) {
	b := newBench(t, nil)
	t.Chdir(b.dir)
	says := func(want string) {
		t.Helper()
		if !strings.Contains(b.err.String(), want) {
			t.Errorf("it said %q, want %q", b.err.String(), want)
		}
	}
	if code := b.own(t.Context(), "--resume"); code != exitUsage {
		t.Errorf("exit %d", code)
	}
	says("no run of this matrix.yaml in runs lacks an answer")

	ctx, cancel := context.WithCancel(t.Context())
	b.app.measure = fake(clean, func(_ context.Context, n int) {
		if n == 1 {
			cancel()
		}
	})
	if code := b.own(ctx); code != exitInterrupted {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	unfinished, _ := os.Readlink("runs/latest")
	// A later run of another matrix, one that is finished, and one that was killed
	// before it had results, or while it wrote them.
	other := strings.Replace(smallMatrix, "small", "other", 1)
	if err := os.WriteFile("other.yaml", []byte(other), 0o644); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1100 * time.Millisecond) // names are of a second
	b.app.measure = fake(clean, nil)
	for _, m := range []string{"other.yaml", "matrix.yaml"} {
		if code := b.own(t.Context(), "--matrix", m); code != exitOK {
			t.Fatalf("exit %d: %s", code, b.err.String())
		}
	}
	for name, text := range map[string]string{"2999-01-01-000000-0000": "", "2999-01-01-000000-0001": `{"schema": 1, "tool`} {
		if err := os.MkdirAll("runs/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile("runs/"+name+"/results.json", []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if code := b.own(t.Context(), "--resume"); code != exitOK {
		t.Fatalf("exit %d: %s", code, b.err.String())
	}
	says("kqual: going on with runs/" + unfinished)
	r, err := reports.Load(filepath.Join("runs", unfinished, "results.json"))
	if err != nil || r.State != reports.StateDone || r.Earlier == 0 {
		t.Errorf("%v, %+v", err, r)
	}
	if code := b.own(t.Context(), "--resume"); code != exitUsage {
		t.Errorf("exit %d: there is nothing left to go on with", code)
	}
}

// A matrix that lies where --out points is not the run's to replace.
func TestARunLeavesAStrangersMatrixAlone(t *testing.T) {
	b := newBench(t, fake(clean, nil))
	t.Chdir(b.dir)
	mine := []byte("mine: true\n")
	if err := os.MkdirAll("out", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile("out/matrix.yaml", mine, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second finds results of another matrix beside it
		if code := b.run(t.Context()); code != exitOK {
			t.Fatalf("exit %d: %s", code, b.err.String())
		}
		if text, _ := os.ReadFile("out/matrix.yaml"); string(text) != string(mine) {
			t.Errorf("the matrix is %q", text)
		}
	}
	if n := strings.Count(b.err.String(), "out/matrix.yaml is of no run and stays as it is"); n != 2 {
		t.Errorf("it said so %d times: %s", n, b.err.String())
	}
	// The run's own copy is renewed.
	if err := os.Remove("out/matrix.yaml"); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{smallMatrix, smallMatrix + "# more\n"} {
		if err := os.WriteFile("matrix.yaml", []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if code := b.run(t.Context()); code != exitOK {
			t.Fatalf("exit %d: %s", code, b.err.String())
		}
		if got, _ := os.ReadFile("out/matrix.yaml"); string(got) != text {
			t.Errorf("the matrix of the run is %q", got)
		}
	}
}
