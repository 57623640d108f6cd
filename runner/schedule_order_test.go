package runner

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"kqual/matrix"
)

func TestFetchOrder(t *testing.T) {
	type kernel struct {
		source string
		slow   bool
		took   time.Duration
	}
	const s = time.Second
	for _, tt := range []struct {
		name    string
		kernels []kernel
		want    string // which is there when
	}{
		{"all cached, in order", []kernel{{"build", false, 3 * s}, {"debian", false, s}, {"debian", false, 2 * s}}, "0@3s 1@4s 2@6s"},
		{
			"a build does not keep cached ones waiting",
			[]kernel{{"build", true, 100 * s}, {"debian", false, s}, {"debian", false, s}},
			"1@1s 2@2s 0@1m40s",
		},
		{
			"one download at a time, beside a build",
			[]kernel{{"debian", true, 10 * s}, {"debian", true, 10 * s}, {"build", true, 100 * s}, {"build", true, 50 * s}},
			"0@10s 1@20s 2@1m40s 3@2m30s",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var mu sync.Mutex
				var got []string
				g, ctx := errgroup.WithContext(t.Context())
				var order []int
				for i := range tt.kernels {
					order = append(order, i)
				}
				fetchAll(ctx, g, order, func(i int) string { return tt.kernels[i].source }, func(i int, slow func()) {
					if tt.kernels[i].slow {
						slow()
						slow() // every step of a download says so
					}
					time.Sleep(tt.kernels[i].took)
					mu.Lock()
					defer mu.Unlock()
					got = append(got, fmt.Sprintf("%d@%s", i, time.Since(begin)))
				})
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
				if text := strings.Join(got, " "); text != tt.want {
					t.Errorf("got %s, want %s", text, tt.want)
				}
			})
		})
	}
}

func TestBootOrder(t *testing.T) {
	var kernels strings.Builder
	for _, name := range []string{"a", "b", "c", "d"} {
		fmt.Fprintf(&kernels, "  - {name: %s, file: {vmlinuz: /boot/%s}}\n", name, name)
	}
	cat := testCatalog()
	spec, err := matrix.Parse("test.yaml", []byte(`version: 1
name: test
kernels:
`+kernels.String()+`filesystems: [tmpfs]
scenarios: [unlink]
watches:
  - {name: IN_DELETE, inotify: [IN_DELETE]}
  - {name: nlink, inotify: [IN_DELETE], check: nlink}
  - {name: getdents, inotify: [IN_DELETE], check: getdents}
`), cat)
	if err != nil {
		t.Fatal(err)
	}
	selection, err := matrix.ParseSelection([]string{"kernel=a,watch=IN_DELETE", "kernel=b", "kernel=c,watch=nlink", "kernel=d"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	plan, err := matrix.NewPlan(spec, cat, selection)
	if err != nil {
		t.Fatal(err)
	}
	for cpus, want := range map[int]string{2: "[0 1 2 3]", 3: "[0 1 2 3]", 4: "[1 3 2 0]"} {
		if got := fmt.Sprint(bootOrder(plan, Budget{CPUs: cpus})); got != want {
			t.Errorf("%d CPUs: %s, want %s", cpus, got, want)
		}
	}
}
