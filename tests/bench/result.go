package main

import (
	"fmt"
	"math"
	"strings"
)

// Report is all that a run of the bench found out; it is what results.json holds.
type Report struct {
	Machine  Machine   `json:"machine"`
	Rounds   int       `json:"rounds"`
	Apart    string    `json:"apart,omitempty"` // pause before each command
	Runtimes []Runtime `json:"runtimes"`
	Results  []Result  `json:"results"`
}

// Machine is where the figures come from.
type Machine struct {
	Kernel     string     `json:"kernel"`
	Processor  string     `json:"processor"`
	Processors int        `json:"processors"`
	MemoryMB   int64      `json:"memoryMB"`
	Cgroups    layout     `json:"cgroups"`
	Load       [2]float64 `json:"load"` // of one minute, at the beginning and at the end
	Date       string     `json:"date"`
}

// busy says that so much else ran that times are noise.
func (m *Machine) busy() bool { return m.Load[0] > float64(m.Processors)/2 }

// Runtime is a program under test.
type Runtime struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Result is one row of the table in one cgroup layout.
type Result struct {
	Row      string    `json:"row"`
	Title    string    `json:"title"`
	Cgroups  layout    `json:"cgroups"`
	Rounds   int       `json:"rounds,omitempty"`
	Unit     string    `json:"unit,omitempty"` // of Value
	Series   []Series  `json:"series,omitempty"`
	Verdicts []Verdict `json:"verdicts,omitempty"`
	Notes    []string  `json:"notes,omitempty"`
	Skipped  string    `json:"skipped,omitempty"` // why it was not measured
	Failed   string    `json:"failed,omitempty"`  // what went wrong: the bench or berth is broken
}

// Series is what was measured of one contestant. Times are in milliseconds, memory in KB.
type Series struct {
	Name    string  `json:"name"`
	Wall    *Spread `json:"wallMilliseconds,omitempty"`
	CPU     *Spread `json:"cpuMilliseconds,omitempty"`
	Peak    *Spread `json:"peakKilobytes,omitempty"`
	Value   *Spread `json:"value,omitempty"` // where a row measures something else; see Result.Unit
	Skipped string  `json:"skipped,omitempty"`
}

// metric names one of the spreads of a Series.
type metric string

const (
	wall  metric = "wall time"
	value metric = "value"
)

func (s *Series) spread(m metric) *Spread {
	if m == wall {
		return s.Wall
	}
	return s.Value
}

// bar is what a row has to reach.
type bar struct {
	metric  metric
	of      string  // a series; "" for berth
	against string  // the series that it is compared with; "" for an absolute figure
	limit   float64 // most, or with atLeast least
	atLeast bool
}

// Verdict says whether a bar is met.
type Verdict struct {
	Bar      string  `json:"bar"`
	Metric   metric  `json:"metric"`
	Against  string  `json:"against,omitempty"`
	Limit    float64 `json:"limit"`
	Measured float64 `json:"measured"`
	Low      float64 `json:"low,omitempty"` // the interval of Measured, where it is a ratio of times
	High     float64 `json:"high,omitempty"`
	Met      bool    `json:"met"`
	Open     string  `json:"open,omitempty"` // why it could not be judged
}

// text is the bar as the table shows it.
func (b bar) text(unit string) string {
	sign := "≤"
	if b.atLeast {
		sign = "≥"
	}
	if b.against == "" {
		return strings.TrimSpace(fmt.Sprintf("%s %s %s", sign, number(b.limit), unit))
	}
	return fmt.Sprintf("%s %.2f × %s", sign, b.limit, b.against)
}

// judge adds the verdicts on bars to a result.
func (r *Result) judge(bars []bar) {
	for _, b := range bars {
		v := Verdict{Bar: b.text(r.Unit), Metric: b.metric, Against: b.against, Limit: b.limit}
		ours, why := r.measured(orBerth(b.of), b.metric)
		if why == "" && b.against != "" {
			var theirs *Spread
			if theirs, why = r.measured(b.against, b.metric); why == "" {
				v.compare(ours, theirs)
			}
		} else if why == "" {
			v.Measured = ours.Median
		}
		v.Open = why
		// A series of plain numbers can divide by zero.
		if why == "" && (math.IsNaN(v.Measured) || math.IsInf(v.Measured, 0)) {
			v.Open, v.Measured = "the figures cannot be compared", 0
		}
		v.Met = v.Open == "" && (!b.atLeast && v.Measured <= b.limit || b.atLeast && v.Measured >= b.limit)
		r.Verdicts = append(r.Verdicts, v)
	}
}

func (v *Verdict) compare(ours, theirs *Spread) {
	if len(ours.Samples) > 1 && len(theirs.Samples) > 1 {
		v.Measured, v.Low, v.High = ratioOf(ours.Samples, theirs.Samples)
		return
	}
	v.Measured = ours.Median / theirs.Median
}

func orBerth(name string) string {
	if name == "" {
		return "berth"
	}
	return name
}

// measured returns a series' figure, or why there is none.
func (r *Result) measured(name string, m metric) (*Spread, string) {
	for i := range r.Series {
		s := &r.Series[i]
		switch {
		case s.Name != name:
		case s.Skipped != "":
			return nil, name + ": " + s.Skipped
		case s.spread(m) == nil:
			return nil, name + ": not measured"
		default:
			return s.spread(m), ""
		}
	}
	return nil, name + ": not measured"
}

// number prints a figure with three significant digits, and whole above a hundred.
func number(x float64) string {
	switch {
	case x == math.Trunc(x) || math.Abs(x) >= 100:
		return thousands(int64(math.Round(x)))
	case math.Abs(x) >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// thousands prints a number with commas.
func thousands(n int64) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
