package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// list shows every container of the state folder as a table, as JSON and as ids, each with its own status.
func TestList(t *testing.T) {
	t.Parallel()
	created := newContainer(t)
	running := newContainer(t, withSleep())
	stopped := newContainer(t)
	running.stateRoot, stopped.stateRoot = created.stateRoot, created.stateRoot

	created.create().ok(t)
	running.startSleeping()
	stopped.create().ok(t)
	stopped.start().ok(t)
	stopped.waitStatus("stopped")
	statuses := map[string]string{created.id: "created", running.id: "running", stopped.id: "stopped"}

	table := created.oci("list").ok(t).stdout
	lines := strings.Split(strings.TrimSpace(table), "\n")
	want(t, "heading", strings.Join(strings.Fields(lines[0]), " "), "ID PID STATUS BUNDLE CREATED OWNER")
	want(t, "lines", len(lines), 4)
	for _, c := range []*container{created, running, stopped} {
		s := c.state()
		row := []string{c.id, fmt.Sprint(s.Pid), statuses[c.id], c.bundle}
		found := false
		for _, line := range lines[1:] {
			fields := strings.Fields(line)
			if fields[0] == c.id {
				found = true
				want(t, "row", strings.Join(fields[:4], " "), strings.Join(row, " "))
				want(t, "owner", fields[len(fields)-1], "root")
			}
		}
		want(t, "found in the table: "+c.id, found, true)
	}

	var all []state
	for _, args := range [][]string{{"list", "--format", "json"}, {"list", "-f", "json"}, {"list", "--format=json"}} {
		text := created.oci(args...).ok(t).stdout
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatalf("%v: %v in %s", args, err, text)
		}
	}
	want(t, "entries in JSON", len(all), 3)
	for _, s := range all {
		want(t, "status in JSON of "+s.ID, s.Status, statuses[s.ID])
		want(t, "owner in JSON", s.Owner, "root")
	}

	for _, flag := range []string{"-q", "--quiet"} {
		ids := strings.Fields(created.oci("list", flag).ok(t).stdout)
		want(t, "ids by "+flag, len(ids), 3)
		for _, id := range ids {
			want(t, "known id "+id, statuses[id] != "", true)
		}
	}
	bad := created.oci("list", "--format", "yaml").exits(t, 1)
	wantContains(t, "error for an unknown format", bad.stderr, "format")
}

// Without containers, and without a state folder, list is empty and succeeds; its JSON can be parsed.
func TestListOfNothing(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	root := filepath.Join(host.scratch, "no-such-folder")
	lines := strings.Split(strings.TrimSpace(oci(t, "--root", root, "list").ok(t).stdout), "\n")
	want(t, "lines of the table", len(lines), 1)
	want(t, "ids", oci(t, "--root", root, "list", "-q").ok(t).stdout, "")
	text := strings.TrimSpace(oci(t, "--root", root, "list", "-f", "json").ok(t).stdout)
	if isBerth() {
		want(t, "JSON", text, "[]")
	} else if text != "null" && text != "[]" {
		t.Errorf("JSON: %q", text)
	}
	if _, err := os.Stat(root); err == nil && isBerth() {
		t.Error("list made the state folder")
	}
}

// A folder in the state folder that is not a container's does not keep list from showing the others.
func TestListSkipsWhatIsNoContainer(t *testing.T) {
	t.Parallel()
	c := newContainer(t)
	c.create().ok(t)
	if err := os.Mkdir(filepath.Join(c.stateRoot, "strange"), 0o700); err != nil {
		t.Fatal(err)
	}
	ids := c.oci("list", "-q").ok(t).stdout
	wantContains(t, "ids", ids, c.id)
}
