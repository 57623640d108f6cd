package guest

import (
	"encoding/binary"
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kqual/matrix"
)

func fanWatch(init, mark, mask []string) matrix.Watch {
	return matrix.Watch{Source: "fanotify", Check: "open", Flags: map[string][]string{"init": init, "mark": mark, "mask": mask}}
}

func TestFanotifyRefusesWatchesThatCannotTell(t *testing.T) {
	named, del := []string{"FAN_REPORT_DFID_NAME"}, []string{"FAN_DELETE"}
	for name, c := range map[string]struct {
		w    matrix.Watch
		want string
	}{
		"named":       {fanWatch(named, nil, del), ""},
		"descriptor":  {fanWatch(nil, nil, del), ""}, // the kernel refuses it
		"no name":     {fanWatch([]string{"FAN_REPORT_FID"}, nil, del), "no name in the event; add FAN_REPORT_DFID_NAME"},
		"no name dir": {fanWatch([]string{"FAN_REPORT_DIR_FID"}, nil, del), "no name in the event; add FAN_REPORT_DFID_NAME"},
		"ignored":     {fanWatch(named, []string{"FAN_MARK_IGNORE"}, del), "an ignore mark asks for no event"},
		"permission":  {fanWatch([]string{"FAN_CLASS_CONTENT"}, nil, []string{"FAN_DELETE", "FAN_OPEN_PERM"}), "a permission event stops the process"},
		"namespace":   {fanWatch(named, []string{"FAN_MARK_MNTNS"}, del), ""}, // the kernel refuses it
		"two objects": {fanWatch(named, []string{"FAN_MARK_MOUNT", "FAN_MARK_FILESYSTEM"}, del), "a mark has one object"},
		"no event":    {fanWatch(named, nil, []string{"FAN_ONDIR"}), "the mask has no event"},
	} {
		got := strings.Join(fanotify{}.catalog().Validate(c.w), "; ")
		if (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// fixedGroup is a group that only has a place.
type fixedGroup struct {
	group
	rank int
}

func TestABystanderIsToldWhereTheWatchSays(t *testing.T) {
	p := &pool{}
	for i := range 40 {
		p.groups = append(p.groups, fixedGroup{rank: i})
	}
	rank := func(g group) int { return g.(fixedGroup).rank }
	for seed := range uint64(50) {
		for _, told := range []matrix.Told{matrix.ToldBefore, matrix.ToldAfter} {
			w := matrix.Watch{Bystander: &matrix.Bystander{Told: told}}
			groups, by, err := p.cast(rand.New(rand.NewPCG(seed, 0)), 8, w)
			if err != nil || len(groups) != 9 {
				t.Fatalf("%d groups, %v", len(groups), err)
			}
			if !slices.IsSortedFunc(groups, func(a, b group) int { return rank(a) - rank(b) }) {
				t.Error("the groups lost their order")
			}
			if told == matrix.ToldBefore && rank(by) > rank(groups[0]) || told == matrix.ToldAfter && rank(by) < rank(groups[8]) {
				t.Errorf("told %s: the bystander has rank %d, the reader %d", told, rank(by), rank(groups[0]))
			}
		}
	}
	if _, _, err := (&pool{groups: p.groups[:1]}).cast(rand.New(rand.NewPCG(0, 0)), 0, matrix.Watch{Bystander: &matrix.Bystander{}}); err == nil {
		t.Error("one group was enough for a reader and a bystander")
	}
}

func TestAOneshotWatchIsArmedAgainForEachName(t *testing.T) {
	g, err := inotify{}.open(matrix.Watch{})
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	dir := t.TempDir()
	w := matrix.Watch{Flags: map[string][]string{"mask": {"IN_DELETE", "IN_ONESHOT"}}}
	if err := g.mark(w, dir); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 4096)
	for _, arm := range []bool{true, true, false} {
		if err := os.WriteFile(dir+"/v", nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if arm {
			if errno := g.rearm(); errno != 0 {
				t.Fatal(errno)
			}
		}
		if err := os.Remove(dir + "/v"); err != nil {
			t.Fatal(err)
		}
		n, err := unix.Read(g.fd(), buf)
		if got := err == nil && binary.NativeEndian.Uint32(buf[4:])&unix.IN_DELETE != 0; got != arm {
			t.Errorf("armed %t, told %t (%d bytes, %v)", arm, got, n, err)
		}
	}
}

// Every flag that the kernel takes has a place in a table: a new constant of
// x/sys/unix is a flag that a matrix cannot name yet, or one of the exceptions.
func TestEveryFlagOfTheInterfacesCanBeNamed(t *testing.T) {
	known := map[string]bool{
		// Set by the guest, or no flags that go in.
		"FAN_MARK_ADD": true, "FAN_MARK_REMOVE": true, "FAN_MARK_FLUSH": true, "FAN_Q_OVERFLOW": true, "FAN_AUDIT": true,
		"IN_CLOEXEC": true, "IN_NONBLOCK": true, "IN_IGNORED": true, "IN_ISDIR": true, "IN_Q_OVERFLOW": true, "IN_UNMOUNT": true,
		// Of answers and of what comes out.
		"FAN_ALLOW": true, "FAN_DENY": true, "FAN_INFO": true, "FAN_NOFD": true, "FAN_NOPIDFD": true, "FAN_EPIDFD": true,
		"FAN_EVENT_METADATA_LEN": true,
	}
	for _, table := range []map[string]uint64{inotifyFlags, fanotifyInit, fanotifyMark, fanotifyMask} {
		for name := range table {
			known[name] = true
		}
	}
	other := regexp.MustCompile(`^(FAN_ALL_|FAN_EVENT_INFO_TYPE_|FAN_RESPONSE_|FAN_ERRNO_|IN_CLASS|IN_LOOPBACK)`)
	for _, name := range constantsOf(t, "golang.org/x/sys/unix", "zerrors_linux.go", regexp.MustCompile(`^(FAN|IN)_`)) {
		if !known[name] && !other.MatchString(name) {
			t.Errorf("%s cannot be named in a matrix", name)
		}
	}
}

// constantsOf lists the constants of a file of a package that match.
func constantsOf(t *testing.T, pkg, file string, match *regexp.Regexp) []string {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", pkg).Output()
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	ast.Inspect(parsed, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && match.MatchString(v.Names[0].Name) {
			out = append(out, v.Names[0].Name)
		}
		return true
	})
	if len(out) == 0 {
		t.Fatalf("found no constant in %s of %s", file, pkg)
	}
	return out
}
