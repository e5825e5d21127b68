package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Names of the files that the bench writes.
const (
	resultsFile = "results.json"
	tableFile   = "table.md"
	chartFile   = "chart.svg"
)

// writeReport writes all three files into a folder.
func writeReport(r *Report, folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(folder, resultsFile), append(text, '\n'), 0o644),
		os.WriteFile(filepath.Join(folder, tableFile), []byte(markdown(r)), 0o644),
		os.WriteFile(filepath.Join(folder, chartFile), []byte(chart(r)), 0o644),
	)
}

// Where the figures go in performance.md.
const (
	figuresBegin = "<!-- figures: begin; written by make bench-docs -->\n"
	figuresEnd   = "<!-- figures: end -->\n"
)

// intoDocs writes the last report's table and chart into the documentation.
func intoDocs(out, docs string) error {
	text, err := os.ReadFile(filepath.Join(out, resultsFile))
	if err != nil {
		return fmt.Errorf("%w: run the bench first", err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(out, resultsFile), err)
	}
	page := filepath.Join(docs, "performance.md")
	old, err := os.ReadFile(page)
	if err != nil {
		return err
	}
	fresh, err := replaceFigures(string(old), markdown(&r))
	if err != nil {
		return fmt.Errorf("%s: %w", page, err)
	}
	return errors.Join(
		os.WriteFile(page, []byte(fresh), 0o644),
		os.WriteFile(filepath.Join(docs, "performance.svg"), []byte(chart(&r)), 0o644),
	)
}

// replaceFigures puts figures between the marks of a page.
func replaceFigures(page, figures string) (string, error) {
	front, rest, ok := strings.Cut(page, figuresBegin)
	_, back, ok2 := strings.Cut(rest, figuresEnd)
	if !ok || !ok2 {
		return "", errors.New("the marks between which the figures go are missing")
	}
	return front + figuresBegin + "\n" + figures + "\n" + figuresEnd + back, nil
}

// heading says what was compared, and on what.
func heading(r *Report) string {
	var names []string
	for _, c := range r.Runtimes {
		names = append(names, c.Name+" "+c.Version)
	}
	m := &r.Machine
	noise := ""
	if m.busy() {
		noise = " (the machine was busy: noise)"
	}
	apart := ""
	if r.Apart != "" {
		apart = ", " + r.Apart + " apart"
	}
	return fmt.Sprintf("%s. %s, Linux %s, %d × %s, %s MB, cgroups %s, load %.1f before and %.1f after%s. %d rounds%s.",
		strings.Join(names, ", "), m.Date, m.Kernel, m.Processors, m.Processor, thousands(m.MemoryMB), m.Cgroups, m.Load[0], m.Load[1], noise, r.Rounds, apart)
}

// printReport prints the report for a terminal.
func printReport(w io.Writer, r *Report) {
	fmt.Fprintf(w, "\n%s\n", heading(r))
	met, judged := 0, 0
	for i := range r.Results {
		s := &r.Results[i]
		fmt.Fprintf(w, "\n%s   (%s, cgroup %s)\n", s.Title, s.Row, s.Cgroups)
		switch {
		case s.Failed != "":
			fmt.Fprintf(w, "  FAILED: %s\n", s.Failed)
			continue
		case s.Skipped != "":
			fmt.Fprintf(w, "  skipped: %s\n", s.Skipped)
			continue
		}
		printSeries(w, s)
		for j := range s.Verdicts {
			v := &s.Verdicts[j]
			fmt.Fprintf(w, "  %s: %s\n", v.Bar, v.text(s.Unit))
			if v.Open == "" {
				judged++
				if v.Met {
					met++
				}
			}
		}
		for _, n := range s.Notes {
			fmt.Fprintf(w, "  (%s)\n", n)
		}
	}
	fmt.Fprintf(w, "\n%d of %d bars are met.\n", met, judged)
}

func printSeries(w io.Writer, r *Result) {
	names, figures := 0, 0
	for i := range r.Series {
		names = max(names, len(r.Series[i].Name))
		figures = max(figures, len(r.Series[i].figure(r.Unit)))
	}
	for i := range r.Series {
		s := &r.Series[i]
		if s.Skipped != "" {
			fmt.Fprintf(w, "  %-*s  not measured: %s\n", names, s.Name, s.Skipped)
			continue
		}
		fmt.Fprintf(w, "  %-*s  %*s", names, s.Name, figures, s.figure(r.Unit))
		if s.Wall != nil && s.Value == nil {
			fmt.Fprintf(w, "  %-16s  CPU %s ms, peak %s KB", "["+number(s.Wall.Lower)+", "+number(s.Wall.Upper)+"]",
				number(s.CPU.Median), number(s.Peak.Median))
		}
		fmt.Fprintln(w)
	}
}

// figure is what a series is about, with its unit.
func (s *Series) figure(unit string) string {
	switch {
	case s.Value != nil:
		return strings.TrimSpace(number(s.Value.Median) + " " + unit)
	case s.Wall != nil:
		return number(s.Wall.Median) + " ms"
	}
	return ""
}

// text says what was measured, and whether it is enough.
func (v *Verdict) text(unit string) string {
	if v.Open != "" {
		return "open (" + v.Open + ")"
	}
	word := "MISSED"
	if v.Met {
		word = "met"
	}
	return v.figure(unit) + ", " + word
}

// figure is the measured ratio with its interval, or the figure itself.
func (v *Verdict) figure(unit string) string {
	switch {
	case v.Against == "":
		return strings.TrimSpace(number(v.Measured) + " " + unit)
	case v.High > 0:
		return fmt.Sprintf("%.2f ×, 95 %% in [%.2f, %.2f]", v.Measured, v.Low, v.High)
	}
	return fmt.Sprintf("%.2f ×", v.Measured)
}

// markdown is the report as two tables: the bars, and the figures that they were judged by.
func markdown(r *Report) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s\n\n", heading(r))
	b.WriteString("| what | cgroups | bar | measured | |\n|---|---|---|---|---|\n")
	for i := range r.Results {
		s := &r.Results[i]
		if reason := s.Skipped + s.Failed; reason != "" {
			fmt.Fprintf(&b, "| %s | %s | | not measured: %s | |\n", s.Title, s.Cgroups, escape(reason))
		}
		for j := range s.Verdicts {
			v := &s.Verdicts[j]
			word := "**missed**"
			figure := v.figure(s.Unit)
			switch {
			case v.Open != "":
				word, figure = "open", v.Open
			case v.Met:
				word = "met"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", s.Title, s.Cgroups, v.Bar, escape(figure), word)
		}
	}
	b.WriteString("\n| what | cgroups | | median | quartiles | CPU | peak memory |\n|---|---|---|--:|--:|--:|--:|\n")
	for i := range r.Results {
		for j := range r.Results[i].Series {
			markdownSeries(&b, &r.Results[i], &r.Results[i].Series[j])
		}
	}
	return b.String()
}

func markdownSeries(w io.Writer, r *Result, s *Series) {
	fmt.Fprintf(w, "| %s | %s | %s | ", r.Title, r.Cgroups, s.Name)
	switch {
	case s.Skipped != "":
		fmt.Fprintf(w, "— | not measured: %s | | |\n", escape(s.Skipped))
	case s.Value != nil:
		fmt.Fprintf(w, "%s %s | | | |\n", number(s.Value.Median), r.Unit)
	case s.Wall != nil:
		fmt.Fprintf(w, "%s ms | %s – %s | %s ms | %s KB |\n", number(s.Wall.Median), number(s.Wall.Lower), number(s.Wall.Upper),
			number(s.CPU.Median), number(s.Peak.Median))
	default:
		fmt.Fprint(w, "— | | | |\n")
	}
}

// escape keeps a text inside its cell.
func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }
