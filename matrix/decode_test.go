package matrix

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

type decodeInner struct {
	Suite string `yaml:"suite" kqual:"required"`
}

type decodeShared struct {
	Proxy string `yaml:"proxy"`
}

type decodeOuter struct {
	Text         string            `yaml:"text"`
	Flag         bool              `yaml:"flag"`
	Count        int               `yaml:"count"`
	Small        uint8             `yaml:"small"`
	Rate         float64           `yaml:"rate"`
	Wait         time.Duration     `yaml:"wait"`
	List         []string          `yaml:"list" kqual:"required"`
	Inner        decodeInner       `yaml:"inner"`
	Pointer      *decodeInner      `yaml:"pointer"`
	Number       *int              `yaml:"number"`
	Inners       []decodeInner     `yaml:"inners"`
	Env          map[string]string `yaml:"env"`
	Raw          yaml.Node         `yaml:"raw"`
	Skipped      string            `yaml:"-"`
	Untagged     string
	decodeShared `yaml:",inline"`
	Shared       decodeShared `yaml:",inline"`
}

func node(t testing.TB, in string) *yaml.Node {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(in), &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

func TestDecodeStrictDecodesEveryType(t *testing.T) {
	var got decodeOuter
	ps := DecodeStrict(node(t, `
text: 5.10
flag: true
count: -3
small: 0xff
rate: 1e-3
wait: 1m30s
list: &l [a, 2, 2024-01-02]
inner: &i {suite: sid}
pointer: *i
number: 7
inners: [*i, {suite: bullseye}]
env: {A: b, C: 1}
raw: [1, {x: y}]
untagged: u
proxy: http://localhost
`), "k", &got)
	if len(ps) > 0 {
		t.Fatal(ps)
	}
	seven := 7
	if got.Raw.Kind != yaml.SequenceNode {
		t.Errorf("raw node %+v", got.Raw)
	}
	got.Raw = yaml.Node{}
	want := decodeOuter{
		Text: "5.10", Flag: true, Count: -3, Small: 255, Rate: 1e-3, Wait: 90 * time.Second,
		List: []string{"a", "2", "2024-01-02"}, Inner: decodeInner{"sid"}, Pointer: &decodeInner{"sid"}, Number: &seven,
		Inners: []decodeInner{{"sid"}, {"bullseye"}}, Env: map[string]string{"A": "b", "C": "1"},
		Untagged: "u", Shared: decodeShared{Proxy: "http://localhost"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(decodeOuter{})); diff != "" {
		t.Error(diff)
	}
}

func TestDecodeStrictLeavesAbsentPointersNil(t *testing.T) {
	var got decodeOuter
	if ps := DecodeStrict(node(t, "list: [a]"), "", &got); len(ps) > 0 || got.Pointer != nil || got.Number != nil {
		t.Errorf("%v, %+v", ps, got)
	}
}

func TestDecodeStrictReportsProblems(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"missing", "text: a", `1 k.list: is missing; add a list of texts`},
		{"empty", "list: []", `1 k.list: must not be empty; give a list of texts`},
		{"unknown key", "list: [a]\nlsit: 1", `2 k.lsit: unknown key "lsit"; did you mean "list"?`},
		{"skipped field", "list: [a]\nskipped: x", `2 k.skipped: unknown key "skipped"`},
		{"wrong element", "list: [a, [b]]", `1 k.list[1]: is a list; write text`},
		{"scalar for a list", "list: a", `1 k.list: is the text "a"; write a list of texts`},
		{"nested", "list: [a]\ninners:\n- {suite: a}\n- {siute: b}", "4 k.inners[1].siute: unknown key \"siute\"; did you mean \"suite\"?\n4 k.inners[1].suite: is missing; add text"},
		{"text for a bool", "list: [a]\nflag: maybe", `2 k.flag: is the text "maybe"; write true or false`},
		{"float for an int", "list: [a]\ncount: 1.5", `2 k.count: is the number 1.5; write a whole number`},
		{"overflow", "list: [a]\nsmall: 256", `2 k.small: is the number 256; write a whole number, 0 or more`},
		{"null", "list: [a]\ntext:", `2 k.text: is empty; give text or remove the key`},
		{"mapping for text", "list: [a]\ntext: {}", `2 k.text: is a mapping; write text`},
		{"bad duration", "list: [a]\nwait: soon", `2 k.wait: "soon" is no duration`},
		{"map value", "list: [a]\nenv: {A: true}", `2 k.env.A: is the truth value true; write text in quotes`},
		{"list for a struct", "- a", `1 k: is a list; write a mapping`},
		{"key that is no text", "list: [a]\n? [x]\n: y", `2 k: a key is a list; write text`},
		{"nothing", "", ` k: is missing; add a mapping`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out decodeOuter
			ps := DecodeStrict(node(t, c.in), "k", &out)
			got := strings.TrimSuffix(problemLines(ps), "\n")
			want := strings.Split(c.want, "\n")
			lines := strings.Split(got, "\n")
			if len(lines) != len(want) {
				t.Fatalf("got\n%s\nwant\n%s", got, c.want)
			}
			for i := range want {
				if !strings.HasPrefix(lines[i], want[i]) {
					t.Errorf("got\n%s\nwant\n%s", got, c.want)
				}
			}
		})
	}
}

func problemLines(ps Problems) string {
	var b strings.Builder
	for _, p := range ps {
		b.WriteString(strings.TrimPrefix((&ParseError{Problems: Problems{p}}).Error(), ":"))
		b.WriteByte('\n')
	}
	return strings.ReplaceAll(strings.ReplaceAll("\n"+b.String(), "\n: k", "\n0 k"), ": k", " k")[1:]
}

func TestDecodeStrictKeepsWhatIsRight(t *testing.T) {
	var got decodeOuter
	ps := DecodeStrict(node(t, "text: a\ncount: x\nlist: [b]"), "", &got)
	if len(ps) != 1 || got.Text != "a" || len(got.List) != 1 {
		t.Errorf("%v %+v", ps, got)
	}
}

func TestDidYouMean(t *testing.T) {
	for _, c := range []struct {
		word  string
		known []string
		want  string
	}{
		{"nlnk", []string{"nlink", "open"}, `did you mean "nlink"?`},
		{"TMPFS", []string{"ext4", "tmpfs"}, `did you mean "tmpfs"?`},
		{"EXCL_UNLINK", []string{"IN_DELETE", "IN_EXCL_UNLINK"}, `did you mean "IN_EXCL_UNLINK"?`},
		{"xyz", []string{"b", "a"}, "known are a, b"},
		{"xyz", []string{"abc"}, "known is only abc"},
		{"xyz", nil, ""},
		{"", []string{"a"}, "known is only a"},
		{"x", strings.Split("a b c d e f g h i j k l m n", " "), "known are a, b, c, d, e, f, g, h, i, j, k, l and 2 more"},
	} {
		if got := DidYouMean(c.word, c.known); got != c.want {
			t.Errorf("DidYouMean(%q, %v) = %q, want %q", c.word, c.known, got, c.want)
		}
	}
}

func TestGlob(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"*", "", true},
		{"*", "a/b+c", true},
		{"IN_*", "IN_DELETE+nlink", true},
		{"*+nlink", "IN_DELETE+nlink", true},
		{"6.*", "6.1", true},
		{"6.*", "5.6.1", false},
		{"v5.10-*", "v5.10-affected", true},
		{"?", "é", true},
		{"?", "", false},
		{"[a-c]x", "bx", true},
		{"[^a-c]x", "bx", false},
		{"[!a]x", "bx", true},
		{"[]]", "]", true},
		{"[a", "[a", true},
		{"[a", "a", false},
		{`\*`, "*", true},
		{`\*`, "a", false},
		{"*a*b*c", "xxaxxbxxc", true},
		{"*a*b*c", "xxaxxbxx", false},
		{"", "", true},
		{"", "a", false},
		{"a[b]", "a[b]", true},
		{"a[b]", "ab", true},
		{"**", "x", true},
		{"x*", "x", true},
		{`a\`, `a\`, true},
	} {
		if got := matchGlob(c.pattern, c.name); got != c.want {
			t.Errorf("matchGlob(%q, %q) = %v", c.pattern, c.name, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*[b-c]?", "axxbz")
	f.Add(`\`, "\xff")
	f.Fuzz(func(t *testing.T, pattern, name string) {
		if len(pattern) > 100 || len(name) > 1000 {
			return
		}
		if !matchGlob(name, name) || !matchGlob("*", name) {
			t.Errorf("%q does not match itself or *", name)
		}
		matchGlob(pattern, name)
	})
}
