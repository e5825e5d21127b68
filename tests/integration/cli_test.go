package integration

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// What --version prints has the form that containerd and podman parse.
func TestVersion(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	calls := [][]string{{"--version"}, {"-v"}}
	if isBerth() {
		calls = append(calls, []string{"version"})
	}
	for _, args := range calls {
		r := oci(t, args...).ok(t)
		lines := strings.Split(r.stdout, "\n")
		if len(lines) < 3 {
			t.Fatalf("%v prints %q", args, r.stdout)
		}
		for i, form := range []string{`^\S+ version \S+$`, `^commit: \S+$`, `^spec: 1\.\d+\.\d+\S*$`} {
			if !regexp.MustCompile(form).MatchString(lines[i]) {
				t.Errorf("%v: line %d is %q, want the form %s", args, i+1, lines[i], form)
			}
		}
		want(t, "stderr", r.stderr, "")
	}
}

// help lists the commands, --help of a command its flags, on standard output and with exit code 0.
func TestHelp(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	commands := []string{"create", "delete", "kill", "list", "run", "spec", "start", "state"}
	if isBerth() {
		commands = append(commands, "plan", "version")
	}
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}} {
		wantContains(t, strings.Join(args, " "), oci(t, args...).ok(t).stdout, commands...)
	}
	for _, args := range [][]string{{"run", "--help"}, {"help", "run"}, {"run", "-h"}} {
		wantContains(t, strings.Join(args, " "), oci(t, args...).ok(t).stdout,
			"--bundle", "-b", "--detach", "-d", "--pid-file", "--no-pivot", "--preserve-fds", "--console-socket",
			"--no-new-keyring", "--no-subreaper")
	}
	for _, command := range commands {
		wantContains(t, command+" --help", oci(t, command, "--help").ok(t).stdout, command)
	}
}

// Wrong use of the command line is an error that says what is wrong, and does nothing.
func TestWrongUse(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	argument := "argument"
	if isBerth() {
		argument = "container id"
	}
	for _, use := range []struct {
		args []string
		says string
	}{
		{[]string{"run"}, argument},
		{[]string{"create", "-b", c.bundle}, argument},
		{[]string{"create", "-b", c.bundle, c.id, "another"}, "argument"},
		{[]string{"start"}, argument},
		{[]string{"state"}, argument},
		{[]string{"delete"}, argument},
		{[]string{"kill"}, argument},
		{[]string{"run", "--no-such-flag", c.id}, "no-such-flag"},
		{[]string{"--no-such-flag", "list"}, "no-such-flag"},
		{[]string{"create", "--bundle"}, "flag needs an argument"},
		{[]string{"run", "--preserve-fds", "many", c.id}, "many"},
		{[]string{"--log-format", "xml", "list"}, "xml"},
	} {
		r := c.oci(use.args...)
		want(t, fmt.Sprintf("exit code of %q", use.args), r.code, 1)
		wantContains(t, fmt.Sprintf("output of %q", use.args), r.stdout+r.stderr, use.says)
	}
	if isBerth() {
		r := oci(t, "no-such-command").exits(t, 1)
		wantContains(t, "error for an unknown command", r.stderr, "no-such-command")
	}
	want(t, "containers afterwards", c.oci("list", "-q").ok(t).stdout, "")
}

// Long flags may have one dash, as engines write some of them.
func TestSingleDashLongFlags(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withScript("echo ran"))
	r := oci(t, append([]string{"-root", c.stateRoot, "-log-format", "json"},
		c.driver("run", "-bundle", c.bundle, "-no-subreaper", "-no-new-keyring", c.id)...)...)
	want(t, "output", r.ok(t).stdout, "ran\n")
	r = oci(t, append([]string{"-root=" + c.stateRoot}, c.driver("run", "-bundle="+c.bundle, "-no-subreaper=true", c.id)...)...)
	want(t, "output with =", r.ok(t).stdout, "ran\n")
}

// The last error in a JSON log is what an engine shows to its user: it has the whole cause, and stderr the same.
func TestErrorInJSONLog(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withArgs("/no/such/program"))
	log := filepath.Join(filepath.Dir(c.bundle), "log.json")
	r := oci(t, c.args("--log", log, "--log-format", "json", "create", "--bundle", c.bundle, c.id)...).exits(t, 1)
	last := lastLogError(t, log)
	wantContains(t, "message in the log", last, "/no/such/program", "no such file or directory")
	wantContains(t, "stderr", r.stderr, "/no/such/program", "no such file or directory")
	if isBerth() {
		wantContains(t, "stderr", r.stderr, last)
		wantContains(t, "message in the log", last, "process.args")
	}
}

// lastLogError gives the message of the last entry with level error.
func lastLogError(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	last := ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var entry struct {
			Level, Msg string
			Time       time.Time
		}
		if err := json.Unmarshal(lines.Bytes(), &entry); err != nil {
			t.Errorf("log line %q: %v", lines.Text(), err)
			continue
		}
		if entry.Level == "" || entry.Time.IsZero() {
			t.Errorf("log line %q lacks level or time", lines.Text())
		}
		if entry.Level == "error" {
			last = entry.Msg
		}
	}
	return last
}

// A text log gets the same message; a log is added to, not begun anew.
func TestErrorInTextLog(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	log := filepath.Join(filepath.Dir(c.bundle), "log.txt")
	if err := os.WriteFile(log, []byte("what was there\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	c.oci("--log", log, "state", "no-such-container").exits(t, 1)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, "log", string(text), "what was there\n", "does not exist")
}

// Debug messages come with --debug only, and go where the log goes.
func TestDebugLog(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	quiet := c.run().ok(t)
	want(t, "stderr without --debug", quiet.stderr, "")
	log := filepath.Join(filepath.Dir(c.bundle), "log.json")
	oci(t, c.args("--debug", "--log", log, "--log-format", "json", "run", "--bundle", c.bundle, c.id)...).ok(t)
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, "log", string(text), `"level":"debug"`)
}

// The pid file holds the pid that state gives, and nothing else; it is absent when the container failed.
func TestPidFile(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	file := filepath.Join(filepath.Dir(c.bundle), "pid")
	c.create("--pid-file", file).ok(t)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "pid file", string(text), fmt.Sprint(c.state().Pid))

	failing := newContainer(t, withArgs("/no/such/program"))
	file = filepath.Join(filepath.Dir(failing.bundle), "pid")
	failing.create("--pid-file", file).exits(t, 1)
	if _, err := os.Stat(file); err == nil {
		t.Error("a container that was not made has a pid file")
	}
}

// A pid file that cannot be written is an error that names it, and the container is not left behind.
func TestPidFileCannotBeWritten(t *testing.T) {
	t.Parallel()
	c := newContainer(t, withSleep())
	r := c.create("--pid-file", "/no/such/folder/pid").exits(t, 1)
	wantContains(t, "error", r.stderr, "/no/such/folder")
	c.oci("state", c.id).exits(t, 1)
}

// spec writes a config.json that run accepts, and does not overwrite one.
func TestSpec(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	config := filepath.Join(c.bundle, "config.json")
	r := c.oci("spec", "--bundle", c.bundle).exits(t, 1)
	wantContains(t, "spec over a config.json", r.stderr, "config.json")
	if err := os.Remove(config); err != nil {
		t.Fatal(err)
	}
	c.oci("spec", "-b", c.bundle).ok(t)
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	// The process of a new specification is a shell on a terminal, which this test has none of.
	changed := strings.Replace(string(text), `"terminal": true`, `"terminal": false`, 1)
	changed = strings.Replace(changed, `"sh"`, `"sh", "-c", "echo ran; hostname"`, 1)
	c.writeConfigText(changed)
	want(t, "output", c.run().ok(t).stdout, "ran\n"+host.name+"\n")

	rootless := newContainer(t)
	if err := os.Remove(filepath.Join(rootless.bundle, "config.json")); err != nil {
		t.Fatal(err)
	}
	call{dir: rootless.bundle}.run(t, "spec", "--rootless").ok(t)
	text, err = os.ReadFile(filepath.Join(rootless.bundle, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	wantContains(t, "rootless specification", string(text), `"uidMappings"`, `"type": "user"`)
	if strings.Contains(string(text), `"type": "network"`) {
		t.Error("the rootless specification has a network namespace, which nobody could then connect")
	}
}
