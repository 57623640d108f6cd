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
	call := regexp.MustCompile(`(?m)^\s*(?:\$ |ExecStart=|- |run: |[\d*/ ]+kqual cd \S+ && out=\$\(nice )(?:\./|/usr/local/bin/)?kqual (\w.*?)(?: 2>&1\).*)?$`)
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
	if n < 14 { // nine in the text, one in each unit, the crontab and each workflow
		t.Errorf("found %d calls", n)
	}
}

// The nights of docs/nightly.md, command by command, with kernels that change as
// it tells.
func TestTheDocumentedNightsGoAsTold(t *testing.T) {
	doc, err := os.ReadFile("../../docs/nightly.md")
	if err != nil {
		t.Fatal(err)
	}
	n := newNights(t)
	n.matrix(strings.NewReplacer("kernel: bad", "kernel: debian-11", "name: bad,", "name: debian-11,", "name: a,", "name: debian-12,").Replace(nightMatrix))
	n.images["debian-11"], n.images["debian-12"] = "bad-image", "a-image"
	n.affected["affected"] = true
	mail := "#!/bin/sh\n{ echo \"$@\"; cat; } > " + n.path("mail.txt") + "\n"
	if err := os.WriteFile(n.path("mail"), []byte(mail), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", n.dir+":"+os.Getenv("PATH"))
	t.Chdir(n.dir)
	nights := []struct {
		image string // of debian-12
		want  int
	}{{"a-image", exitOK}, {"affected", exitUnmet}, {"a-image", exitOK}, {"a-image", exitOK}}
	said := map[string]string{} // command → the last output
	night := 0
	for _, line := range regexp.MustCompile(`(?m)^\$ kqual (.*)$`).FindAllStringSubmatch(string(doc), -1) {
		var args []string
		for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line[1], -1) {
			args = append(args, strings.Trim(word, "'"))
		}
		want := exitOK
		switch args[0] {
		case "serve": // until interrupted; it has tests of its own
			continue
		case "nightly":
			if night == len(nights) {
				t.Fatalf("a night that is not told of: %s", line[1])
			}
			n.images["debian-12"], want = nights[night].image, nights[night].want
			night++
		}
		n.out, n.err = lockedBuffer{}, lockedBuffer{}
		if code := n.app.main(context.Background(), args); code != want {
			t.Fatalf("kqual %s: exit %d, want %d\n%s%s", line[1], code, want, n.out.String(), n.err.String())
		}
		said[strings.Join(args[:min(2, len(args))], " ")] = n.out.String()
	}
	if night != len(nights) {
		t.Errorf("%d nights, want %d", night, len(nights))
	}
	for command, want := range map[string]string{
		"history trend": "STALE", "history tag": "good is now ", "certify --kernel": "# debian-12: pass", "history list": "good",
	} {
		if !strings.Contains(said[command], want) {
			t.Errorf("kqual %s says\n%swant %q", command, said[command], want)
		}
	}
	if text, err := os.ReadFile(n.path("mail.txt")); err != nil || !strings.HasPrefix(string(text), "-s kqual: night ") || !strings.Contains(string(text), "debian-12") {
		t.Errorf("the mail: %v\n%s", err, text)
	}
}
