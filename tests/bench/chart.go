package main

import (
	"fmt"
	"slices"
	"strings"
)

// Measures of the chart, in pixels.
const (
	chartWidth  = 720
	letterWidth = 7  // of a runtime's name, about
	figureWidth = 76 // milliseconds, right of them
	barHeight   = 14 // of one runtime
	barStep     = 18 // from one runtime to the next
	groupHead   = 24 // a row's title
	groupGap    = 16 // between rows
	chartTop    = 28 // the chart's own title
)

// chartStyle follows the reader's light or dark mode.
const chartStyle = `
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .note, .figure { fill: #57606a }
  .berth { fill: #0969da } .other { fill: #afb8c1 } .floor { fill: #d0d7de }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .note, .figure { fill: #8d96a0 }
    .berth { fill: #4493f8 } .other { fill: #656c76 } .floor { fill: #3d444d }
  }
`

// chart draws the wall times as bars: one group for each row, each group to its own scale, because what matters is how
// the runtimes compare. Of a row that was measured in several cgroup layouts it takes the one with most runtimes.
func chart(r *Report) string {
	var b strings.Builder
	y, labels := chartTop, labelWidth(r)
	for _, result := range charted(r) {
		y += groupHead
		fmt.Fprintf(&b, `<text x="0" y="%d"><tspan class="title">%s</tspan><tspan class="note" dx="8">cgroup %s</tspan></text>`+"\n",
			y-8, xmlText(result.Title), result.Cgroups)
		most := 0.0
		for i := range result.Series {
			if s := result.Series[i].Wall; s != nil {
				most = max(most, s.Median, s.Upper)
			}
		}
		for i := range result.Series {
			s := &result.Series[i]
			if s.Wall == nil {
				continue
			}
			drawBar(&b, labels, y, s, most)
			y += barStep
		}
		y += groupGap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">
<title>Wall time of berth, other runtimes and the floor</title>
<style>%s</style>
<text x="0" y="16" class="note">median wall time in ms, shorter is better; the line is the middle half of the samples</text>
%s</svg>
`, chartWidth, y, chartWidth, y, chartStyle, b.String())
}

// labelWidth is the room that the names need.
func labelWidth(r *Report) int {
	longest := 0
	for _, result := range charted(r) {
		for i := range result.Series {
			if result.Series[i].Wall != nil {
				longest = max(longest, len(result.Series[i].Name))
			}
		}
	}
	return longest*letterWidth + 12
}

// charted are the results to draw, one for each row that has times of berth and another.
func charted(r *Report) []*Result {
	var list []*Result
	timed := func(s *Result) (n int) {
		for i := range s.Series {
			if s.Series[i].Wall != nil && s.Series[i].Value == nil {
				n++
			}
		}
		return n
	}
	for i := range r.Results {
		s := &r.Results[i]
		if timed(s) < 2 {
			continue
		}
		at := slices.IndexFunc(list, func(o *Result) bool { return o.Row == s.Row })
		switch {
		case at < 0:
			list = append(list, s)
		case timed(s) > timed(list[at]):
			list[at] = s
		}
	}
	return list
}

// drawBar draws a series whose bar starts right of labels; most is what fills the width.
func drawBar(b *strings.Builder, labels, y int, s *Series, most float64) {
	class := "other"
	if strings.HasPrefix(s.Name, "berth") {
		class = "berth"
	} else if s.Name == "floor" {
		class = "floor"
	}
	scale := func(ms float64) float64 { return ms / most * float64(chartWidth-labels-figureWidth) }
	x := float64(labels)
	fmt.Fprintf(b, `<text x="%d" y="%d" text-anchor="end">%s</text>`, labels-8, y+barHeight-3, xmlText(s.Name))
	fmt.Fprintf(b, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="2"/>`, class, x, y, scale(s.Wall.Median), barHeight)
	fmt.Fprintf(b, `<line x1="%.1f" x2="%.1f" y1="%d" y2="%d" stroke="currentColor" stroke-opacity="0.5"/>`,
		x+scale(s.Wall.Lower), x+scale(s.Wall.Upper), y+barHeight/2, y+barHeight/2)
	fmt.Fprintf(b, `<text class="figure" x="%.1f" y="%d">%s</text>`+"\n",
		x+max(scale(s.Wall.Median), scale(s.Wall.Upper))+6, y+barHeight-3, number(s.Wall.Median))
}

// xmlText escapes what XML gives a meaning to.
func xmlText(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
