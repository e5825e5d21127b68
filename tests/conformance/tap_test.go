package conformance

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tapResult is what a program's output in the Test Anything Protocol comes to, over all documents of it.
type tapResult struct {
	ok, skipped int
	// failed holds the lines that say "not ok", without these words, and what is wrong with the output as such.
	failed []string
	// errors holds what stands as "error" in the blocks that belong to no failed test: the programs that print a
	// plan of no tests when all is well say there what was not.
	errors []string
}

var (
	tapTest = regexp.MustCompile(`^(not )?ok\b\s*(.*)$`)
	tapPlan = regexp.MustCompile(`^1\.\.(\d+)`)
	tapSkip = regexp.MustCompile(`(?i)#\s*skip`)
)

// parseTAP reads a program's output. A document begins with a version line and must have a plan that fits.
func parseTAP(output string) tapResult {
	var r tapResult
	tests, plan, documents := 0, -1, 0
	end := func() {
		if documents > 0 && plan != tests {
			what := fmt.Sprintf("a plan of %d tests", plan)
			if plan < 0 {
				what = "no plan"
			}
			r.failed = append(r.failed, fmt.Sprintf("%s for %d tests", what, tests))
		}
		tests, plan = 0, -1
	}
	var block []string
	inside := false
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\r\n")
		switch test := tapTest.FindStringSubmatch(line); {
		case inside && strings.TrimSpace(line) == "...":
			inside = false
			r.noteError(strings.Join(block, "\n"))
		case inside:
			block = append(block, line)
		case strings.TrimSpace(line) == "---":
			inside, block = true, nil
		case strings.HasPrefix(line, "TAP version"):
			end()
			documents++
		case strings.HasPrefix(line, "Bail out!"):
			r.failed = append(r.failed, line)
		case tapPlan.MatchString(line):
			plan, _ = strconv.Atoi(tapPlan.FindStringSubmatch(line)[1])
		case test == nil:
		default:
			tests++
			switch {
			case tapSkip.MatchString(test[2]):
				r.skipped++
			case test[1] != "":
				r.failed = append(r.failed, test[2])
			default:
				r.ok++
			}
		}
	}
	end()
	return r
}

func (r *tapResult) noteError(block string) {
	var fields struct{ Error string }
	if json.Unmarshal([]byte(block), &fields) == nil && fields.Error != "" {
		r.errors = append(r.errors, fields.Error)
	}
}

func TestParseTAP(t *testing.T) {
	for _, c := range []struct {
		name, output string
		want         tapResult
	}{
		{"passes", "TAP version 13\nok 1 - a\n# note\nok 2 - b\n1..2\n", tapResult{ok: 2}},
		{"fails", "TAP version 13\nok 1 - a\nnot ok 2 - b\n1..2\n", tapResult{ok: 1, failed: []string{"2 - b"}}},
		{"two documents", "TAP version 13\nok 1 - a\n1..1\nTAP version 13\nnot ok 1 - b\n1..1\n", tapResult{ok: 1, failed: []string{"1 - b"}}},
		{"skips", "TAP version 13\nok 1 # SKIP no reason\nok 2 - a\n1..2\n", tapResult{ok: 1, skipped: 1}},
		{"ends early", "TAP version 13\nok 1 - a\n", tapResult{ok: 1, failed: []string{"no plan for 1 tests"}}},
		{"loses a test", "TAP version 13\nok 1 - a\n1..2\n", tapResult{ok: 1, failed: []string{"a plan of 2 tests for 1 tests"}}},
		{"bails out", "TAP version 13\nBail out! disk\n1..0\n", tapResult{failed: []string{"Bail out! disk"}}},
		{"says it in a block", "TAP version 13\n  ---\n  {\"error\": \"no hook\"}\n  ...\n1..0\n", tapResult{errors: []string{"no hook"}}},
		{"a test inside a block", "TAP version 13\nok 1 - a\n  ---\n  {\n\"x\": 1\n}\nnot ok\n  ...\n1..1\n", tapResult{ok: 1}},
		{"nothing", "", tapResult{}},
	} {
		got := parseTAP(c.output)
		if got.ok != c.want.ok || got.skipped != c.want.skipped || !slices.Equal(got.failed, c.want.failed) || !slices.Equal(got.errors, c.want.errors) {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}
