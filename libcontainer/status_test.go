package libcontainer

import (
	"os"
	"strings"
	"testing"
)

// A process may give itself any name, with parentheses and spaces too (proc_pid_stat(5)).
func TestParseStat(t *testing.T) {
	const rest = " 1 7 7 0 -1 4194560 165 0 0 0 0 0 0 0 20 0 1 0 987654 2461696 230 18446744073709551615 1\n"
	for line, want := range map[string]procStat{
		"12 (sleep) S" + rest:    {"sleep", 'S', 987654},
		"12 (a) Z (b)) R" + rest: {"a) Z (b)", 'R', 987654},
		"12 () X" + rest:         {"", 'X', 987654},
	} {
		if got, err := parseStat([]byte(line)); err != nil || got != want {
			t.Errorf("%q: got %+v, %v, want %+v", line, got, err, want)
		}
	}
	before, _, _ := strings.Cut(rest, "987654")
	for _, line := range []string{"", "12 sleep S" + rest, "12 (sleep)", "12 (sleep) SS" + rest, "12 (x) S 1 2 3", "12 (x) S" + before + "x9 1"} {
		if got, err := parseStat([]byte(line)); err == nil {
			t.Errorf("%q: got %+v", line, got)
		}
	}
	got, err := processStat(os.Getpid())
	if err != nil || got.started == 0 || !strings.ContainsRune("RSD", rune(got.state)) || got.name == "" {
		t.Errorf("of this process: %+v, %v", got, err)
	}
}
