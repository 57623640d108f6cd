package cli

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "write what the scripts compare with; read it before committing")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"kqual": func() {
			os.Exit(Main(context.Background(), os.Args[1:], Stdio{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// TestScripts runs every testdata/script/*.txtar: offline, without a virtual
// machine. exits N COMMAND… is exec for a command that ends with code N.
func TestScripts(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", UpdateScripts: *update,
		Setup: func(env *testscript.Env) error {
			env.Setenv("KQUAL_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("DEFAULT_MATRIX", filepath.Join(root, "matrix.yaml"))
			env.Setenv("HISTORY", filepath.Join(root, "matrices/history.yaml"))
			env.Setenv("RESULTS", filepath.Join(root, "reports/testdata/results.json"))
			return newArchive(env)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"exits": exits, "archive": archiveCommand},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARG...]")
	}
	script := `want=$1; shift; "$@"; got=$?; [ $got -eq $want ] || { echo "exit code $got, want $want" >&2; exit 1; }`
	ts.Check(ts.Exec("sh", append([]string{"-c", script, "sh"}, args...)...))
}
