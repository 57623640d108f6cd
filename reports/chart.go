package reports

import (
	"bytes"
	"fmt"
	"image/color"
	"io"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "svg", Doc: "chart of the stale rates by kernel, with intervals", Render: renderChart(vectorCanvas)})
	register(Format{Name: "png", Doc: "the same chart as an image", Binary: true, Render: renderChart(imageCanvas)})
}

// canvas is what a chart is drawn on and written from.
type canvas interface {
	vg.CanvasSizer
	io.WriterTo
}

func vectorCanvas(w, h vg.Length) canvas { return vgsvg.New(w, h) }
func imageCanvas(w, h vg.Length) canvas {
	return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(144))}
}

// Okabe and Ito's colours tell apart for every kind of colour vision; shapes
// carry the same.
var chartColours = []color.RGBA{
	{0xD5, 0x5E, 0x00, 0xff},
	{0x00, 0x72, 0xB2, 0xff},
	{0x00, 0x9E, 0x73, 0xff},
	{0xCC, 0x79, 0xA7, 0xff},
	{0xE6, 0x9F, 0x00, 0xff},
	{0x56, 0xB4, 0xE9, 0xff},
}

var chartShapes = []draw.GlyphDrawer{
	draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.RingGlyph{}, draw.BoxGlyph{},
}

// maxChartWatches bounds the series of a chart; more could not be told apart.
const maxChartWatches = 6

// rates are one watch's points: one per kernel that has an answer, at its place
// with the highest rate.
type rates struct {
	plotter.XYs
	plotter.YErrors
}

// renderChart draws the rate of unnoticed stale opens of every watch over the
// kernels, in per cent of the decisive trials, with the interval of each.
func renderChart(on func(w, h vg.Length) canvas) func(io.Writer, *Report, Options) error {
	return func(w io.Writer, r *Report, _ Options) error {
		p := plot.New()
		p.Title.Text = Printable(r.Matrix.Name) + ": stale opens that went unnoticed"
		p.Y.Label.Text = "% of the trials that count"
		p.Y.Min = -2
		p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 25, Label: "25"}, {Value: 50, Label: "50"}, {Value: 75, Label: "75"}, {Value: 100, Label: "100"}}
		p.Legend.Top = true
		var names []string
		for _, k := range r.Kernels {
			names = append(names, chartText(k.Kernel))
		}
		if len(names) == 0 {
			names = []string{"no kernel was run"}
		}
		p.NominalX(names...)
		p.X.Tick.Label.Rotation = 0.6
		p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YTop
		p.X.Min, p.X.Max = -0.6, float64(len(names))-0.4
		p.Add(plotter.NewGrid())
		drawn := 0
		for _, watch := range r.Watches {
			points := r.rates(watch.Name, drawn)
			if len(points.XYs) == 0 {
				continue
			}
			if drawn == maxChartWatches {
				p.Title.Text += fmt.Sprintf(" (first %d watches)", maxChartWatches)
				break
			}
			scatter, err := plotter.NewScatter(points.XYs)
			if err != nil {
				return fmt.Errorf("draw the chart: %w", err)
			}
			bars, err := plotter.NewYErrorBars(points)
			if err != nil {
				return fmt.Errorf("draw the chart: %w", err)
			}
			scatter.Color, bars.Color = chartColours[drawn], chartColours[drawn]
			scatter.Shape, scatter.Radius = chartShapes[drawn], vg.Points(3)
			p.Add(bars, scatter)
			p.Legend.Add(chartText(watch.Name), scatter)
			drawn++
		}
		p.Y.Max = 104 + 7*float64(drawn) // room for the legend
		width := min(max(vg.Length(len(names))*1.6*vg.Centimeter, 16*vg.Centimeter), 120*vg.Centimeter)
		c := on(width, 11*vg.Centimeter)
		p.Draw(draw.New(c))
		var b bytes.Buffer
		if _, err := c.WriteTo(&b); err != nil {
			return fmt.Errorf("draw the chart: %w", err)
		}
		_, err := w.Write(b.Bytes())
		return err
	}
}

// rates are the points of a watch, moved aside by its number so that intervals
// do not cover each other.
func (r *Report) rates(watch string, number int) rates {
	at := map[string]int{}
	for i, k := range r.Kernels {
		at[k.Kernel] = i
	}
	best := map[string]matrix.Verdict{}
	for _, c := range r.Cells {
		switch c.Verdict.Kind {
		case matrix.VerdictAffected, matrix.VerdictHolds, matrix.VerdictClean:
		default:
			continue
		}
		if old, ok := best[c.Kernel]; c.Watch == watch && c.Verdict.Of > 0 && (!ok || share1(c.Verdict) > share1(old)) {
			best[c.Kernel] = c.Verdict
		}
	}
	var out rates
	for _, k := range r.Kernels {
		v, ok := best[k.Kernel]
		if !ok {
			continue
		}
		y := 100 * share1(v)
		out.XYs = append(out.XYs, plotter.XY{X: float64(at[k.Kernel]) + 0.1*(float64(number)-2.5), Y: y})
		out.YErrors = append(out.YErrors, struct{ Low, High float64 }{y - 100*v.Lo, 100*v.Hi - y})
	}
	return out
}

func share1(v matrix.Verdict) float64 { return float64(v.Count) / float64(v.Of) }

// chartText keeps a label short enough for an axis.
func chartText(s string) string {
	const longest = 24 // characters
	s = Printable(s)
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}
