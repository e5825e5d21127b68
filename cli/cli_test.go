package cli

import (
	"context"
	"slices"
	"testing"

	"github.com/urfave/cli/v3"
)

func TestCommandName(t *testing.T) {
	root := (&app{}).command(nil)
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"berth"}, ""},
		{[]string{"berth", "run", "state"}, "run"},
		{[]string{"berth", "--debug", "state", "x"}, "state"},
		{[]string{"berth", "--root", "state", "kill", "x"}, "kill"},
		{[]string{"berth", "-root", "state", "kill", "x"}, "kill"},
		{[]string{"berth", "--root=state", "kill", "x"}, "kill"},
		{[]string{"berth", "--log", "-", "kill"}, "kill"},
		{[]string{"berth", "--no-such-flag", "kill"}, "kill"},
		{[]string{"berth", "--root"}, ""},
		{[]string{"berth", "-h", "run"}, ""},
		{[]string{"berth", "run", "-h"}, "run"},
	} {
		if got := commandName(root.Flags, c.args); got != c.want {
			t.Errorf("%q: got %q, want %q", c.args, got, c.want)
		}
	}
}

// A flag that is wrong is named as it is written, with what it takes.
func TestWrongFlags(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"create", "--preserve-fds", "x", "id"}, "--preserve-fds \"x\": want a whole number: see `berth create --help`"},
		{[]string{"exec", "--preserve-fds", `a": b`, "id"}, "--preserve-fds \"a\\\": b\": want a whole number: see `berth exec --help`"},
		{[]string{"run", "--preserve-fds=99999999999999999999"}, "--preserve-fds \"99999999999999999999\": want a number that is nearer to 0: see `berth run --help`"},
		{[]string{"create", "--no-pivot=maybe"}, "--no-pivot \"maybe\": want true or false: see `berth create --help`"},
		{[]string{"events", "--interval", "1"}, "--interval \"1\": want a time with its unit, such as 500ms or 1m: see `berth events --help`"},
		{[]string{"delete", "--nonesuch"}, "there is no flag --nonesuch: see `berth delete --help`"},
	} {
		args := append([]string{"berth"}, c.args...)
		err := (&app{}).command(args).Run(context.Background(), args)
		if err == nil || err.Error() != c.want {
			t.Errorf("%q: got %v, want %s", c.args, err, c.want)
		}
	}
}

// A name in the table is the command's own, and brings that one alone.
func TestCommandsByName(t *testing.T) {
	a := &app{}
	all := a.commands("")
	if len(all) < 10 {
		t.Fatalf("%d commands", len(all))
	}
	for _, c := range all {
		if one := a.commands(c.Name); len(one) != 1 || one[0].Name != c.Name {
			t.Errorf("%s: got %d commands", c.Name, len(one))
		}
		if c.Usage == "" || c.Hidden {
			t.Errorf("%s: hidden, or without usage", c.Name)
		}
	}
	if other := a.commands("help"); len(other) != len(all) {
		t.Errorf("help knows %d commands of %d", len(other), len(all))
	}
}

func TestLongFlags(t *testing.T) {
	for _, c := range []struct{ in, want []string }{
		{[]string{"berth", "-root", "-x", "state", "id"}, []string{"berth", "--root", "-x", "state", "id"}},
		{[]string{"berth", "-root=x", "run", "-no-subreaper", "-d", "id"}, []string{"berth", "--root=x", "run", "--no-subreaper", "-d", "id"}},
		{[]string{"berth", "exec", "-user", "1", "id", "ls", "-user"}, []string{"berth", "exec", "--user", "1", "id", "ls", "-user"}},
		{[]string{"berth", "ps", "-format", "json", "exec", "-format"}, []string{"berth", "ps", "--format", "json", "exec", "-format"}},
		{[]string{"berth", "state", "exec", "-root"}, []string{"berth", "state", "exec", "--root"}},
		{[]string{"berth", "kill", "--", "-all"}, []string{"berth", "kill", "--", "-all"}},
		{[]string{"berth", "-nosuch", "state"}, []string{"berth", "-nosuch", "state"}},
	} {
		if got := longFlags((&app{}).command(c.in), c.in); !slices.Equal(got, c.want) {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// BenchmarkCommandLine is what every command pays before it does anything.
func BenchmarkCommandLine(b *testing.B) {
	args := []string{"berth", "--root", "/x", "start", "id"}
	b.ReportAllocs()
	for b.Loop() {
		root := (&app{}).command(args)
		root.Command("start").Action = func(context.Context, *cli.Command) error { return nil }
		if err := root.Run(context.Background(), longFlags(root, args)); err != nil {
			b.Fatal(err)
		}
	}
}
