package cli

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every call of kqual in docs/nightly.md and deploy/ names a command and flags
// that there are.
func TestDocumentedCallsOfTheNightAreValid(t *testing.T) {
	files, err := filepath.Glob("../../deploy/*")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`(?m)^\s*(?:\$ |ExecStart=|- |run: |[\d*/ ]+kqual cd \S+ && nice )(?:\./|/usr/local/bin/)?kqual (\w.*)$`)
	n := 0
	for _, path := range append(files, "../../docs/nightly.md") {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(data), -1) {
			n++
			line := regexp.MustCompile(`'[^']*'|\$\{[^}]*\}`).ReplaceAllStringFunc(m[1], func(s string) string {
				if strings.HasPrefix(s, "$") {
					return ""
				}
				return "quoted"
			})
			a := &app{Stdio: Stdio{Out: &lockedBuffer{}, Err: &lockedBuffer{}}}
			root := a.root()
			root.SetContext(context.Background())
			cmd, args, err := root.Find(strings.Fields(line))
			if err != nil || !cmd.Runnable() || cmd == root {
				t.Errorf("%s: kqual %s: %v", path, m[1], err)
				continue
			}
			if err := cmd.ParseFlags(args); err != nil {
				t.Errorf("%s: kqual %s: %v", path, m[1], err)
				continue
			}
			if err := cmd.ValidateArgs(cmd.Flags().Args()); err != nil {
				t.Errorf("%s: kqual %s: %v", path, m[1], err)
			}
		}
	}
	if n < 13 { // eight in the text, one in each unit, the crontab and each workflow
		t.Errorf("found %d calls", n)
	}
}
