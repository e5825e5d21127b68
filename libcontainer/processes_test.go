package libcontainer

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// statText makes a /proc/PID/stat as proc_pid_stat(5) has it, of a process whose
// name does its best to confuse.
func statText(state, started, exitCode string) string {
	fields := make([]string, 52)
	for i := range fields {
		fields[i] = "3"
	}
	fields[0], fields[1], fields[2], fields[21], fields[51] = "12", "(a) Z 1 (b)", state, started, exitCode
	return strings.Join(fields, " ") + "\n"
}

func TestParseZombie(t *testing.T) {
	for code, want := range map[string]unix.WaitStatus{"1792": 7 << 8, "9": 9, "0": 0} {
		got, err := parseZombie([]byte(statText("Z", "777", code)), 777)
		if err != nil || got != want {
			t.Errorf("code %q: got %v %v, want %v", code, got, err, want)
		}
	}
	whole := statText("Z", "777", "9")
	for name, text := range map[string]string{
		"lives":                statText("S", "777", "0"),
		"began later":          statText("Z", "778", "9"),
		"a code that is none":  statText("Z", "777", "x"),
		"without its last":     strings.TrimSuffix(whole, " 9\n"),
		"without a name":       "12 Z 1 2 3\n",
		"nothing":              "",
		"a start that is none": statText("Z", "x", "9"),
	} {
		if got, err := parseZombie([]byte(text), 777); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
}
