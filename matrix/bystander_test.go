package matrix

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func parseBystander(bystander string) (*Spec, error) {
	in := strings.Replace(minimal, "[IN_DELETE]}", "[IN_DELETE], bystander: "+bystander+"}", 1)
	return Parse("m", []byte(in), testCatalog())
}

func TestParseReadsABystander(t *testing.T) {
	s, err := parseBystander("{inotify: [IN_DELETE, IN_EXCL_UNLINK], told: before}")
	if err != nil {
		t.Fatal(err)
	}
	want := &Bystander{Source: "inotify", Flags: map[string][]string{"mask": {"IN_DELETE", "IN_EXCL_UNLINK"}}, Told: ToldBefore}
	if diff := cmp.Diff(want, s.Watches[0].Bystander); diff != "" {
		t.Error(diff)
	}
	if got, want := s.Watches[0].Bystander.String(), "inotify [IN_DELETE, IN_EXCL_UNLINK] told before"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestParseRefusesABystanderItCannotPlace(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"text":                 {"before", `m:8: watches[0].bystander: is the text "before"; write a mapping`},
		"no source":            {"{told: after}", "m:8: watches[0].bystander: has no event source; add one of fanotify, inotify"},
		"no place":             {"{inotify: [IN_DELETE]}", "m:8: watches[0].bystander: has no told; add told: before or told: after"},
		"unknown place":        {"{inotify: [IN_DELETE], told: befor}", `m:8: watches[0].bystander.told: unknown place "befor"; did you mean "before"?`},
		"unknown key":          {"{inotify: [IN_DELETE], tol: after}", `m:8: watches[0].bystander.tol: unknown key "tol"; did you mean "told"?`},
		"unknown flag":         {"{inotify: [IN_DELET], told: after}", `m:8: watches[0].bystander.inotify[0]: unknown inotify flag "IN_DELET"; did you mean "IN_DELETE"?`},
		"two sources":          {"{inotify: [IN_DELETE], fanotify: [FAN_DELETE], told: after}", "m:8: watches[0].bystander.fanotify: is a second event source besides inotify"},
		"another event source": {"{fanotify: [FAN_DELETE], told: after}", "m:8: watches[0].bystander.fanotify: is not the event source of the watch; use inotify"},
		"impossible flags":     {"{inotify: [IN_MASK_ADD, IN_MASK_CREATE], told: after}", "m:8: watches[0].bystander.inotify: IN_MASK_ADD and IN_MASK_CREATE exclude each other"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseBystander(c.in)
			if err == nil || !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("got %v, want %s…", err, c.want)
			}
		})
	}
}
