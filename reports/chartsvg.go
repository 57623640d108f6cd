package reports

import (
	"fmt"
	"io"
	"strings"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/vgsvg"
)

// svgCanvas keeps texts as wide as the layout has them where the reader's
// machine does not have the font that was measured with.
type svgCanvas struct {
	*vgsvg.Canvas
	widths []vg.Length // of the texts, in the order of the document
}

// FillString draws text and keeps its width.
func (c *svgCanvas) FillString(f font.Face, at vg.Point, text string) {
	c.widths = append(c.widths, f.Width(text))
	c.Canvas.FillString(f, at, text)
}

// svgFonts names fonts that have the measures of gonum's.
var svgFonts = strings.NewReplacer("font-family:Liberation Serif;", "font-family:'Liberation Serif','Times New Roman',Tinos,serif;")

// WriteTo writes the finished document.
func (c *svgCanvas) WriteTo(w io.Writer) (int64, error) {
	var b strings.Builder
	if _, err := c.Canvas.WriteTo(&b); err != nil {
		return 0, err
	}
	const begin = "<text "
	parts := strings.Split(svgFonts.Replace(b.String()), begin)
	if len(parts) != len(c.widths)+1 {
		return 0, fmt.Errorf("%d texts in the document, %d were drawn", len(parts)-1, len(c.widths))
	}
	for i, width := range c.widths {
		if width > 0 {
			parts[i+1] = fmt.Sprintf(`textLength="%.5g" lengthAdjust="spacingAndGlyphs" `, width.Points()) + parts[i+1]
		}
	}
	n, err := io.WriteString(w, strings.Join(parts, begin))
	return int64(n), err
}
