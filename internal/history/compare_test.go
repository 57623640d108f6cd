package history

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"kqual/matrix"
	"kqual/reports"
)

// A cell flaps by what was measured of one image; nights that carried it over,
// that failed, of another image or another matrix do not count.
func TestFlappingIsFoundInTheHistory(t *testing.T) {
	const carried, other, failed, image = 'o', 'm', 'e', 'i'
	for nights, want := range map[string]string{
		"cacac":                       "affected on 2 of 5 nights",
		"cccaac":                      "affected on 2 of 6 nights",
		"ccccca":                      "", // once may be a regression
		"cccccc":                      "",
		"aaaaaa":                      "",
		"cocoa":                       "",
		"cmcma":                       "",
		"caeaeaca":                    "affected on 4 of 6 nights",
		"aciac":                       "affected on 1 of 3 nights", // since the image is another one
		"c" + strings.Repeat("ac", 8): "affected on 7 of 14 nights",
	} {
		t.Run(nights, func(t *testing.T) {
			ctx := context.Background()
			db := open1(t, t.TempDir())
			r := saved(t, "results.json")
			const at = 1
			for i, what := range nights {
				r.Started = r.Started.AddDate(0, 0, 1)
				r.Matrix.Name = "flapping"
				r.Kernels[0].Cells[at].Evidence = nil
				v := matrix.Verdict{Kind: matrix.VerdictClean, Of: 3700}
				switch what {
				case 'a':
					v = matrix.Verdict{Kind: matrix.VerdictAffected, Count: 9, Of: 10}
				case failed:
					v = matrix.Verdict{Kind: matrix.VerdictError}
				case image:
					r.Kernels[0].Provenance.SHA256 = strings.Repeat("1", 64)
				case other:
					r.Matrix.Name, v.Kind = "another", matrix.VerdictAffected
				case carried:
					v = matrix.Verdict{Kind: matrix.VerdictAffected, Count: 9, Of: 10}
					r.Kernels[0].Cells[at].Evidence = &matrix.Evidence{Run: "before", Measured: r.Started.AddDate(0, 0, -1)}
				}
				if r.Cells[at].ID() != r.Kernels[0].Cells[at].Cell.ID() {
					t.Fatal("the cells are in another order")
				}
				r.Cells[at].Verdict = v
				add(t, db, r, fmt.Sprintf("night-%d", i))
			}
			d, err := db.Compare(ctx, fmt.Sprintf("night-%d", len(nights)-2), fmt.Sprintf("night-%d", len(nights)-1))
			if err != nil {
				t.Fatal(err)
			}
			got := flaps(d)
			if want == "" && got != "" || !strings.Contains(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}

func flaps(d reports.Diff) (text string) {
	for _, x := range d.Differences {
		if x.Change == matrix.ChangeFlapping {
			text += x.Text
		}
	}
	return text
}
