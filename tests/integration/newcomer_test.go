package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What `make run` does works: it makes a bundle, shows a container from inside, and each command that it says to type
// next works as it stands.
func TestFirstRun(t *testing.T) {
	berthOnly(t, "make run")
	if _, err := os.Stat("../../scripts/first-run"); err != nil || filepath.Base(filepath.Dir(host.runtime)) != "bin" {
		t.Skip("the runtime is not the checkout's bin/berth, which make run uses")
	}
	for _, program := range []string{"install", "mktemp", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatal(err)
		}
	}
	hostUnchanged(t)
	tmp, err := os.MkdirTemp(host.scratch, "first-run-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeAll(t, tmp) })
	out := runProgram(t, "env", "TMPDIR="+tmp, "BERTH_FIRST_RUN_LINK="+tmp+"/last", "../../scripts/first-run")
	wantContains(t, "what is shown", out, "hostname:  berth\n", "uid=0(root)", "sh /show", "/proc ", "open files", "CapEff:")

	next := 0
	for line := range strings.Lines(out) {
		command, ok := strings.CutPrefix(strings.TrimSpace(line), "sudo ")
		if !ok || !strings.Contains(command, tmp) {
			continue
		}
		next++
		words := strings.Fields(command)
		switch words[1] {
		case "run": // an interactive shell; the words after its id explain it
			term := newTerminal(t, 24, 80)
			p := call{stdin: term.slave, stdout: term.slave, program: words[0], attr: controllingTerminal()}.start(t, words[1:5]...)
			term.typeText("echo $((20+3)); exit 6\r")
			term.waitShown("23\n")
			p.wait(t).exits(t, 6)
		case "plan":
			r := call{program: words[0]}.run(t, words[1:4]...).ok(t)
			wantContains(t, "plan", r.stdout, "mounts[0] (/proc)")
		}
	}
	want(t, "commands to type next", next, 2)
}
