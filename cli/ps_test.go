package cli

import (
	"strings"
	"testing"
)

func TestSelectRows(t *testing.T) {
	const ef = `UID          PID    PPID  C STIME TTY          TIME CMD
root           7       1  0 10:00 ?        00:00:00 sleep 12
somebodywithalongname   12       7  0 10:00 ?        00:00:00 sleep 99
root          99       1  0 10:00 ?        00:00:00 ps 7
root         512       1  0 10:00 ?        00:00:00 x
`
	const argsFirst = `COMMAND                         PID
sleep 12                          7
sleep 7                          99
a program with many words        12
`
	for _, c := range []struct {
		name, table string
		pids        []int
		rows        []string // a word of each row wanted
	}{
		{"the usual columns", ef, []int{7}, []string{"sleep 12"}},
		{"a row that is pushed to the right", ef, []int{12}, []string{"somebodywithalongname"}},
		{"several, in the table's order", ef, []int{512, 7}, []string{"sleep 12", " x"}},
		{"none", ef, nil, nil},
		{"columns with blanks before", argsFirst, []int{12, 99}, []string{"sleep 7", "many words"}},
		{"a number in another column", argsFirst, []int{7}, []string{"sleep 12"}},
		{"one column", "PID\n1\n2\n", []int{2}, []string{"2"}},
		{"one column, to the right", "    PID\n      1\n      2\n", []int{2}, []string{"2"}},
		{"no end of line", "  PID CMD\n    5 a", []int{5}, []string{"a"}},
		{"no rows", "  PID CMD\n", []int{5}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			out, err := selectRows(c.table, c.pids)
			if err != nil {
				t.Fatal(err)
			}
			rows := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
			heading, _, _ := strings.Cut(c.table, "\n")
			if rows[0] != heading || len(rows) != 1+len(c.rows) {
				t.Fatalf("got %q", out)
			}
			for i, word := range c.rows {
				if !strings.Contains(rows[1+i], word) {
					t.Errorf("row %d is %q, want the one with %q", i, rows[1+i], word)
				}
			}
		})
	}
	for _, table := range []string{"", "PPID CMD\n1 x\n", "CMD\n"} {
		if out, err := selectRows(table, []int{1}); err == nil {
			t.Errorf("table %q without a column PID: got %q", table, out)
		}
	}
}
