package libcontainer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"berth/libcontainer/facts/probe"
)

func TestPrettyName(t *testing.T) {
	for text, want := range map[string]string{
		"NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n": "Debian GNU/Linux 12",
		"PRETTY_NAME='A'":  "A",
		"PRETTY_NAME=B \n": "B",
		"NAME=x\n":         "unknown",
		"":                 "unknown",
	} {
		if got := prettyName(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestLacks(t *testing.T) {
	host, err := probe.Self()
	if err != nil {
		t.Fatal(err)
	}
	k := host.Kernel
	k.Major, k.Minor = 5, 10
	all := lacks(k)
	k.Major, k.Minor = 5, 14
	some := lacks(k)
	k.Major, k.Minor = 7, 0
	if none := lacks(k); len(none) != 0 || none == nil {
		t.Errorf("a kernel of tomorrow lacks %q", none)
	}
	if len(all) <= len(some) || len(some) == 0 || !strings.Contains(strings.Join(all, " "), "cgroup.kill") || strings.Contains(strings.Join(some, " "), "cgroup.kill") {
		t.Errorf("5.10 lacks %q, 5.14 %q", all, some)
	}
}

func TestLines(t *testing.T) {
	a, b, c := errors.New("a"), errors.New("b"), errors.New("c")
	if got := lines(errors.Join(a, errors.Join(b, c))); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("got %q", got)
	}
}
