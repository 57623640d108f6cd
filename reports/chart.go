package reports

import (
	"bytes"
	"fmt"
	"image/color"
	"io"
	"math"
	"strconv"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
	"gonum.org/v1/plot/vg/vgsvg"

	"kqual/matrix"
)

func init() {
	register(Format{Name: "svg", Doc: "charts by kernel: stale rates with intervals, natural beside amplified, time to decision", Render: renderChart(vectorCanvas)})
	register(Format{Name: "png", Doc: "the same charts as an image", Binary: true, Render: renderChart(imageCanvas)})
}

// canvas is what a chart is drawn on and written from.
type canvas interface {
	vg.CanvasSizer
	io.WriterTo
}

func vectorCanvas(w, h vg.Length) canvas { return &svgCanvas{Canvas: vgsvg.New(w, h)} }
func imageCanvas(w, h vg.Length) canvas {
	dpi := 144
	if w > 60*vg.Centimeter { // some 40 kernels: an image wider than screens are
		dpi = 96
	}
	return vgimg.PngCanvas{Canvas: vgimg.NewWith(vgimg.UseWH(w, h), vgimg.UseDPI(dpi))}
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

// Heights of the charts, which stand one below the other.
const (
	rateHeight  = 11 * vg.Centimeter
	chartHeight = 10 * vg.Centimeter
)

// chartWidth is the width of charts of so many kernels.
func chartWidth(kernels int) vg.Length {
	return min(max(vg.Length(kernels)*1.6*vg.Centimeter, 16*vg.Centimeter), 120*vg.Centimeter)
}

// labelRoom is what the label of a kernel takes across, slanted as it is.
const labelRoom = 0.8 * vg.Centimeter

// renderChart draws the rates of unnoticed stale opens over the kernels, in
// per cent of the decisive trials and with their intervals; the natural rates
// beside the amplified ones, where the run has any; and the time to a decision.
func renderChart(on func(w, h vg.Length) canvas) func(io.Writer, *Report, Options) error {
	return func(w io.Writer, r *Report, _ Options) error {
		rates, err := r.rateChart()
		if err != nil {
			return fmt.Errorf("draw the rates: %w", err)
		}
		natural, err := r.naturalChart()
		if err != nil {
			return fmt.Errorf("draw the natural rates: %w", err)
		}
		times, err := r.timeChart()
		if err != nil {
			return fmt.Errorf("draw the times: %w", err)
		}
		width := chartWidth(len(r.Kernels))
		height := rateHeight
		for _, p := range []*plot.Plot{natural, times} {
			if p != nil {
				height += chartHeight
			}
		}
		c := on(width, height)
		all, top := draw.New(c), height
		for i, p := range []*plot.Plot{rates, natural, times} {
			if p == nil {
				continue
			}
			bottom := top - chartHeight
			if i == 0 {
				bottom = top - rateHeight
			}
			p.Draw(draw.Crop(all, 0, 0, bottom, top-height))
			top = bottom
		}
		var b bytes.Buffer
		if _, err := c.WriteTo(&b); err != nil {
			return fmt.Errorf("draw the chart: %w", err)
		}
		_, err = w.Write(b.Bytes())
		return err
	}
}

// kernelChart is an empty chart with the kernels across.
func (r *Report) kernelChart(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Legend.Top = true
	every := int(math.Ceil(float64(labelRoom / chartWidth(len(r.Kernels)) * vg.Length(len(r.Kernels)))))
	var names []string
	for i, k := range r.Kernels {
		if i%every != 0 { // labels would cover each other
			names = append(names, "")
			continue
		}
		name := chartText(k.Kernel)
		if k.Provenance.Unverified() != "" {
			name += " (" + matrix.DetailUnverified + ")"
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		names = []string{"no kernel was run"}
	}
	p.NominalX(names...)
	p.X.Tick.Label.Rotation = 0.6
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = draw.XRight, draw.YTop
	p.X.Min, p.X.Max = -0.6, float64(len(names))-0.4
	p.Add(plotter.NewGrid())
	return p
}

func (r *Report) rateChart() (*plot.Plot, error) {
	p := r.kernelChart(Printable(r.Matrix.Name) + ": stale opens that went unnoticed")
	if n := len(r.Missing); n > 0 {
		p.Title.Text += fmt.Sprintf("; %d of %s not run", n, plural(n+len(r.Cells), "cell"))
	}
	p.Y.Label.Text = "% of the trials that count"
	p.Y.Min = -2
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 0, Label: "0"}, {Value: 25, Label: "25"}, {Value: 50, Label: "50"}, {Value: 75, Label: "75"}, {Value: 100, Label: "100"}}
	var watches []string
	for _, w := range r.Watches {
		if len(r.chartRates(w.Name, false)) > 0 {
			watches = append(watches, w.Name)
		}
	}
	if len(watches) > maxChartWatches {
		p.Title.Text += fmt.Sprintf(" (first %d watches)", maxChartWatches)
		watches = watches[:maxChartWatches]
	}
	for n, name := range watches {
		s := series{colour: chartColours[n], shape: chartShapes[n], aside: aside(n, len(watches))}
		for _, c := range r.chartRates(name, false) {
			s.put(c.kernel, 100*c.rate(), 100*c.Lo, 100*c.Hi)
		}
		if err := s.draw(p, chartText(name)); err != nil {
			return nil, err
		}
	}
	p.Y.Max = 104 + 7*float64(len(watches)) // room for the legend
	return p, nil
}

// naturalChart has the watches with a natural rate, and their amplified rates
// beside it. A zero is shown as what it rules out. It is nil where nothing
// natural was measured.
func (r *Report) naturalChart() (*plot.Plot, error) {
	p := r.kernelChart("Natural beside amplified: stale opens per trial")
	p.Y.Label.Text = "share of the trials (log)"
	var watches []string
	lowest := 1.0
	for _, w := range r.Watches {
		if len(r.chartRates(w.Name, true)) == 0 || len(watches) == maxChartWatches {
			continue
		}
		watches = append(watches, w.Name)
		for _, natural := range []bool{false, true} {
			for _, c := range r.chartRates(w.Name, natural) {
				lowest = min(lowest, c.lowest())
			}
		}
	}
	if len(watches) == 0 {
		return nil, nil
	}
	floor := logAxis(p, lowest, 1, len(watches)+4, func(x float64) string { return strconv.FormatFloat(100*x, 'g', 6, 64) + " %" })
	for n, name := range watches {
		for _, natural := range []bool{false, true} {
			seen := series{colour: chartColours[n], shape: draw.CircleGlyph{}, aside: aside(n, len(watches))}
			none := series{colour: chartColours[n], shape: limitGlyph{filled: true}, aside: aside(n, len(watches))}
			if natural {
				seen.shape, none.shape = draw.RingGlyph{}, limitGlyph{}
				seen.aside, none.aside = seen.aside+0.05, none.aside+0.05
			}
			for _, c := range r.chartRates(name, natural) {
				if c.Count == 0 {
					limit := max(c.Hi, floor)
					none.put(c.kernel, limit, limit, limit)
				} else {
					seen.put(c.kernel, max(c.rate(), floor), max(c.Lo, floor), max(c.Hi, floor))
				}
			}
			if err := seen.draw(p, ""); err != nil {
				return nil, err
			}
			if err := none.draw(p, ""); err != nil {
				return nil, err
			}
		}
		p.Legend.Add(chartText(name), glyph{draw.GlyphStyle{Color: chartColours[n], Shape: draw.BoxGlyph{}, Radius: vg.Points(3)}})
	}
	for _, l := range []struct {
		text  string
		shape draw.GlyphDrawer
	}{
		{"amplified, of decisive trials", draw.CircleGlyph{}},
		{"natural, of all trials", draw.RingGlyph{}},
		{"amplified, none stale: upper limit", limitGlyph{filled: true}},
		{"natural, none stale: upper limit", limitGlyph{}},
	} {
		p.Legend.Add(l.text, glyph{draw.GlyphStyle{Color: color.Black, Shape: l.shape, Radius: vg.Points(3)}})
	}
	return p, nil
}

// lowest is the lowest value that a logarithmic axis must show; it is more than
// 0, whatever a saved report has.
func (c chartRate) lowest() float64 {
	const least = 1e-9
	if c.Count == 0 {
		return max(c.Hi, least)
	}
	return max(c.Lo, c.rate()/10, least)
}

// timeChart has the median time to a decision, from the shortest to the
// longest cell. It is nil where nothing was measured.
func (r *Report) timeChart() (*plot.Plot, error) {
	p := r.kernelChart("Time to decision: median of the cells, shortest to longest")
	p.Y.Label.Text = "set-up and trials (log)"
	lowest, highest := math.Inf(1), 0.0
	drawn := make([]series, 0, len(deciding))
	for n, d := range deciding {
		s := series{colour: chartColours[n], shape: chartShapes[n], aside: 0.12 * float64(n-1)}
		for _, c := range r.chartTimes(d.kinds) {
			s.put(c.kernel, c.median.Seconds(), c.min.Seconds(), c.max.Seconds())
			lowest, highest = min(lowest, c.min.Seconds()), max(highest, c.max.Seconds())
		}
		drawn = append(drawn, s)
	}
	if highest == 0 {
		return nil, nil
	}
	logAxis(p, lowest, highest, len(deciding), func(x float64) string { return seconds(time.Duration(x * float64(time.Second))) })
	for n, s := range drawn {
		if err := s.draw(p, deciding[n].name); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// logAxis makes p's Y axis logarithmic over whole decades, with room for so
// many lines of legend, and returns its lowest value.
func logAxis(p *plot.Plot, lowest, highest float64, legend int, label func(float64) string) float64 {
	from := math.Floor(math.Log10(lowest))
	to := math.Max(math.Ceil(math.Log10(highest)), from+1)
	var ticks plot.ConstantTicks
	for e := from; e <= to; e++ {
		x, _ := strconv.ParseFloat(fmt.Sprintf("1e%d", int(e)), 64)
		ticks = append(ticks, plot.Tick{Value: x, Label: label(x)})
	}
	const line = 0.08 // of the chart's height
	room := min(line*float64(legend), 0.7)
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, ticks
	p.Y.Min = ticks[0].Value
	p.Y.Max = math.Pow(10, to+(to-from)*room/(1-room))
	return p.Y.Min
}

// series are points of one look with their intervals.
type series struct {
	plotter.XYs
	plotter.YErrors
	colour color.Color
	shape  draw.GlyphDrawer
	aside  float64 // from the kernel's place, in kernels
}

func (s *series) put(kernel int, y, lo, hi float64) {
	s.XYs = append(s.XYs, plotter.XY{X: float64(kernel) + s.aside, Y: y})
	s.YErrors = append(s.YErrors, struct{ Low, High float64 }{y - lo, hi - y})
}

// draw adds the series to p, and to its legend where it has a name.
func (s *series) draw(p *plot.Plot, name string) error {
	if len(s.XYs) == 0 {
		return nil
	}
	scatter, err := plotter.NewScatter(s.XYs)
	if err != nil {
		return err
	}
	bars, err := plotter.NewYErrorBars(struct {
		plotter.XYs
		plotter.YErrors
	}{s.XYs, s.YErrors})
	if err != nil {
		return err
	}
	scatter.Color, bars.Color = s.colour, s.colour
	scatter.Shape, scatter.Radius = s.shape, vg.Points(3)
	p.Add(bars, scatter)
	if name != "" {
		p.Legend.Add(name, scatter)
	}
	return nil
}

// aside is how far the points of one of several watches are moved, so that
// intervals do not cover each other, in kernels.
func aside(number, of int) float64 { return 0.1 * (float64(number) - float64(of-1)/2) }

// glyph is a legend's entry for a shape.
type glyph struct{ draw.GlyphStyle }

func (g glyph) Thumbnail(c *draw.Canvas) { c.DrawGlyph(g.GlyphStyle, c.Center()) }

// limitGlyph is a triangle that points down: the value is at most here.
type limitGlyph struct{ filled bool }

func (l limitGlyph) DrawGlyph(c *draw.Canvas, s draw.GlyphStyle, at vg.Point) {
	c.SetLineStyle(draw.LineStyle{Color: s.Color, Width: vg.Points(0.5)})
	var p vg.Path
	p.Move(vg.Point{X: at.X - s.Radius, Y: at.Y})
	p.Line(vg.Point{X: at.X + s.Radius, Y: at.Y})
	p.Line(vg.Point{X: at.X, Y: at.Y - 2*s.Radius})
	p.Close()
	if l.filled {
		c.SetColor(s.Color)
		c.Fill(p)
		return
	}
	c.Stroke(p)
}

// chartText keeps a label short enough for an axis.
func chartText(s string) string {
	const longest = 24 // characters
	s = Printable(s)
	if r := []rune(s); len(r) > longest {
		return string(r[:longest-1]) + "…"
	}
	return s
}
