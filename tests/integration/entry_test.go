package integration

import (
	"strings"
	"testing"
)

// TestEntry: berth has one processor of Go's from the first line (docs/decisions/012-one-processor.md), or what its user
// says. Go's own trace of its scheduler tells how many there are, where the program lives long enough for a look.
func TestEntry(t *testing.T) {
	t.Parallel()
	berthOnly(t, "what its program asks of Go")
	for _, c := range []struct {
		env  []string
		want string
	}{
		{[]string{"GODEBUG=schedtrace=1"}, "gomaxprocs=1 "},
		{[]string{"GODEBUG=schedtrace=1", "GOMAXPROCS=3"}, "gomaxprocs=3 "},
	} {
		box := newContainer(t, withArgs("/bin/sleep", "1"))
		r := call{env: c.env}.run(t, box.args(box.command("run", nil)...)...)
		if r.code != 0 || !strings.Contains(r.stderr, c.want) {
			t.Errorf("%q: exit code %d, no %q in:\n%s", c.env, r.code, c.want, r.stderr)
		}
	}
}
