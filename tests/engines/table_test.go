package engines

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
)

// row is what the table says of one engine.
type row struct {
	name, version          string
	passed, failed, missed int
	reasons                []string
}

// table has a row for each engine, in the order in which they were met.
var table struct {
	sync.Mutex
	rows []*row
}

// rowOf finds or makes an engine's row; the table must be locked.
func rowOf(name string) *row {
	if i := slices.IndexFunc(table.rows, func(r *row) bool { return r.name == name }); i >= 0 {
		return table.rows[i]
	}
	table.rows = append(table.rows, &row{name: name})
	return table.rows[len(table.rows)-1]
}

func noteVersion(name, version string) {
	table.Lock()
	defer table.Unlock()
	rowOf(name).version = version
}

// note counts a check of an engine.
func note(name string, t *testing.T) {
	table.Lock()
	defer table.Unlock()
	r := rowOf(name)
	if t.Failed() {
		r.failed++
	} else if !t.Skipped() { // skip counts those
		r.passed++
	}
}

// skip skips a check, or all of an engine's; the table says why.
func (e *engine) skip(t *testing.T, reason string) {
	t.Helper()
	table.Lock()
	r := rowOf(e.name)
	r.missed++
	r.reasons = append(r.reasons, reason)
	table.Unlock()
	t.Skip(reason)
}

// writeTable writes the table to a file, or to standard output when it has no name.
func writeTable(file string) error {
	if len(table.rows) == 0 {
		return nil
	}
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ENGINE\tVERSION\tPASSED\tFAILED\tSKIPPED\tWHY SKIPPED")
	for _, r := range table.rows {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%s\n", r.name, r.version, r.passed, r.failed, r.missed, strings.Join(r.reasons, "; "))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if file == "" {
		fmt.Print(text.String())
		return nil
	}
	return os.WriteFile(file, []byte(text.String()), 0o644)
}
