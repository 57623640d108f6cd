package reports

import (
	"strings"
	"testing"
)

func TestTextsOfTheChartAreAsWideAsTheLayoutHasThem(t *testing.T) {
	in := synthetic()
	in.Spec.Name = "<text x='1'>"
	svg := render(t, "svg", Build(in))
	texts, fitted := strings.Count(svg, "<text "), strings.Count(svg, `<text textLength="`)
	if texts == 0 || fitted != texts {
		t.Errorf("%d of %d texts have a width", fitted, texts)
	}
	if bare := strings.Count(svg, "font-family:Liberation Serif;"); bare > 0 {
		t.Errorf("%d texts have one font and no other", bare)
	}
}
