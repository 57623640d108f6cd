package matrix

import (
	"slices"
	"strings"
	"testing"
)

func TestAnAllowedLineKeepsItsFootnoteWithTheReason(t *testing.T) {
	k := Kernel{Allowances: []Allowance{{Log: "WARNING: * at fs/a.c:*", Why: "known"}, {Log: "*fs/a.c*", Why: "later"}}}
	var splats []Splat
	for _, line := range []string{"WARNING: CPU: 0 PID: 1 at fs/a.c:1 f+0x0/0x1", "WARNING: CPU: 0 PID: 1 at fs/b.c:1 f+0x0/0x1", "WARNING: CPU: 1 PID: 1 at fs/a.c:2 f+0x0/0x1"} {
		splats = append(splats, k.Allow(Splat{Kind: "WARNING", Line: line}))
	}
	want := []string{
		"2 × WARNING in the kernel's log: WARNING: CPU: 0 PID: 1 at fs/a.c:1 f+0x0/0x1 (allowed: known)",
		"1 × WARNING in the kernel's log: WARNING: CPU: 0 PID: 1 at fs/b.c:1 f+0x0/0x1",
	}
	if got := splatNotes(splats); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestAllowancesAreChecked(t *testing.T) {
	const text = `version: 1
kernels:
  - name: k
    debian: {suite: sid}
    allow:
      - {log: "*", why: known}
      - {log: "WARNING: *", why: " "}
      - {log: "WARNING: *"}
filesystems: [tmpfs]
scenarios: [unlink]
watches: [{name: w, inotify: [IN_DELETE]}]
`
	_, err := Parse("m", []byte(text), testCatalog())
	for _, want := range []string{
		`m:6: kernels[0].allow[0].log: "*" would allow every line; write part of the line`,
		`m:7: kernels[0].allow[1].why: is empty; say why the line may be there`,
		`m:8: kernels[0].allow[2].why: is missing`,
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
