package cli

import (
	"strings"
	"testing"
)

// Each command and flag that is not hidden is in each script.
func TestCompletionKnowsAll(t *testing.T) {
	root := completable((&app{}).command(nil))
	scripts := map[string]string{"bash": bashCompletion(root), "zsh": zshCompletion(root), "fish": fishCompletion(root)}
	for shell, script := range scripts {
		for _, c := range root.commands {
			if !strings.Contains(script, c.name) {
				t.Errorf("%s: no command %s", shell, c.name)
			}
			for _, f := range c.flags {
				for _, name := range f.names {
					if !strings.Contains(script, name) {
						t.Errorf("%s: no flag %s of %s", shell, name, c.name)
					}
				}
			}
		}
		for _, hidden := range []string{"kernel-memory"} {
			if strings.Contains(script, hidden) {
				t.Errorf("%s: offers %s", shell, hidden)
			}
		}
	}
}

func TestCompletable(t *testing.T) {
	root := completable((&app{}).command(nil))
	find := func(name string) completion {
		for _, c := range root.commands {
			if c.name == name {
				return c
			}
		}
		t.Fatalf("no command %s", name)
		return completion{}
	}
	for name, ids := range map[string]bool{"create": false, "run": false, "list": false, "kill": true, "exec": true, "ps": true, "update": true} {
		if got := find(name).ids; got != ids {
			t.Errorf("%s takes the id of a container: %v, want %v", name, got, ids)
		}
	}
	for _, f := range find("run").flags {
		switch f.names[0] {
		case "bundle":
			if f.value != "FOLDER" || !f.file() || f.usage != "the bundle's FOLDER" {
				t.Errorf("--bundle: %+v", f)
			}
		case "detach":
			if f.value != "" || f.file() || len(f.names) != 2 {
				t.Errorf("--detach: %+v", f)
			}
		}
	}
}

// What is quoted for a shell is one word there, whatever is in it.
func TestQuoted(t *testing.T) {
	if got := quoted("it's $x"); got != `'it'\''s $x'` {
		t.Errorf("for zsh: %s", got)
	}
	if got := fishQuoted(`it's \ $x`); got != `'it\'s \\ $x'` {
		t.Errorf("for fish: %s", got)
	}
}
