package main

import (
	"os"
	"strings"
	"testing"
)

func sampleResult() *Result {
	return &Result{Row: "run", Title: "run | x", Cgroups: "v1", Series: []Series{
		{Name: "berth", Wall: spreadOf([]float64{6, 6, 6}), CPU: spreadOf([]float64{5, 5, 5}), Peak: spreadOf([]float64{4000, 4000, 4000})},
		{Name: "crun", Wall: spreadOf([]float64{10, 10, 10}), CPU: spreadOf([]float64{8, 8, 8}), Peak: spreadOf([]float64{3000, 3000, 3000})},
		{Name: "runc", Skipped: "is <not> here"},
	}}
}

func TestJudge(t *testing.T) {
	r := sampleResult()
	r.judge([]bar{
		{metric: wall, against: "crun", limit: 0.60},
		{metric: wall, against: "crun", limit: 0.59},
		{metric: wall, against: "crun", limit: 0.60, atLeast: true},
		{metric: wall, against: "crun", limit: 0.61, atLeast: true},
		{metric: wall, against: "runc", limit: 1},
		{metric: wall, against: "youki", limit: 1},
		{metric: value, limit: 1},
	})
	want := []struct {
		met  bool
		text string
	}{
		{true, "0.60 ×, 95 % in [0.60, 0.60], met"},
		{false, "0.60 ×, 95 % in [0.60, 0.60], MISSED"},
		{true, "0.60 ×, 95 % in [0.60, 0.60], met"},
		{false, "0.60 ×, 95 % in [0.60, 0.60], MISSED"},
		{false, "open (runc: is <not> here)"},
		{false, "open (youki: not measured)"},
		{false, "open (berth: not measured)"},
	}
	for i, w := range want {
		if v := r.Verdicts[i]; v.Met != w.met || v.text("") != w.text {
			t.Errorf("%s: met %v, %q; want %v, %q", v.Bar, v.Met, v.text(""), w.met, w.text)
		}
	}
}

func TestJudgeAbsolute(t *testing.T) {
	r := &Result{Unit: "KB", Series: []Series{{Name: "berth", Value: spreadOf([]float64{200})}, {Name: "crun", Value: spreadOf([]float64{0})}}}
	r.judge([]bar{{metric: value, limit: 200}, {metric: value, limit: 199}, {metric: value, against: "crun", limit: 1}})
	if v := r.Verdicts[0]; !v.Met || v.Bar != "≤ 200 KB" {
		t.Errorf("%+v", v)
	}
	if v := r.Verdicts[1]; v.Met {
		t.Errorf("%+v", v)
	}
	if v := r.Verdicts[2]; v.Met || v.Open == "" {
		t.Errorf("divided by zero: %+v", v)
	}
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{0.5: "0.50", 12.345: "12.3", 123.4: "123", 1234567: "1,234,567", 3: "3", 99999.6: "100,000"} {
		if got := number(x); got != want {
			t.Errorf("number(%v) is %q, want %q", x, got, want)
		}
	}
}

func sampleReport() *Report {
	r := sampleResult()
	r.judge([]bar{{metric: wall, against: "crun", limit: 0.60}, {metric: wall, against: "runc", limit: 0.25}})
	return &Report{Rounds: 3, Machine: Machine{Processors: 4, Load: [2]float64{3, 3}},
		Runtimes: []Runtime{{"berth", "1"}, {"crun", "2"}},
		Results:  []Result{*r, {Row: "b", Title: "b", Cgroups: "v2", Skipped: "no | controller"}, {Row: "c", Title: "c", Failed: "berth broke"}}}
}

func TestMarkdown(t *testing.T) {
	text := markdown(sampleReport())
	for _, want := range []string{
		"berth 1, crun 2.", "the machine was busy: noise",
		"| run | x | v1 | ≤ 0.60 × crun | 0.60 ×, 95 % in [0.60, 0.60] | met |",
		"| ≤ 0.25 × runc | runc: is <not> here | open |",
		`| b | v2 | | not measured: no \| controller | |`,
		"| c |  | | not measured: berth broke | |",
		"| crun | 10 ms | 10 – 10 | 8 ms | 3,000 KB |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestPrintReport(t *testing.T) {
	var b strings.Builder
	printReport(&b, sampleReport())
	for _, want := range []string{"FAILED: berth broke", "skipped: no | controller", "1 of 1 bars are met", "not measured: is <not> here"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
}

func TestChart(t *testing.T) {
	svg := chart(sampleReport())
	if strings.Count(svg, "<rect") != 2 || !strings.Contains(svg, "run | x") {
		t.Errorf("want a bar for each of the two that were measured:\n%s", svg)
	}
	// The slower one fills what the names (5 letters) and the figures leave of the width, the other its share.
	if !strings.Contains(svg, `class="other" x="47.0" y="70" width="597.0"`) || !strings.Contains(svg, `class="berth" x="47.0" y="52" width="358.2"`) {
		t.Errorf("bars are not to scale:\n%s", svg)
	}
	if got := xmlText("a<b>&c"); got != "a&lt;b&gt;&amp;c" {
		t.Errorf("xmlText: %q", got)
	}
}

func TestReplaceFigures(t *testing.T) {
	page := "before\n" + figuresBegin + "old\n" + figuresEnd + "after\n"
	got, err := replaceFigures(page, "new")
	if want := "before\n" + figuresBegin + "\nnew\n" + figuresEnd + "after\n"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
	if _, err := replaceFigures("no marks", "new"); err == nil {
		t.Error("a page without marks was taken")
	}
}

// The page that the figures go into has its place for them, and names every row.
func TestPerformancePage(t *testing.T) {
	text, err := os.ReadFile("../../docs/performance.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := replaceFigures(string(text), ""); err != nil {
		t.Error(err)
	}
	for _, row := range rows() {
		// Those without limits are told of by the way.
		if name := strings.ReplaceAll(row.name, "-nolimits", ""); !strings.Contains(string(text), "`"+name+"`") {
			t.Errorf("docs/performance.md does not explain the row %s", name)
		}
	}
}
