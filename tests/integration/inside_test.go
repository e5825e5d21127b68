package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// mountEntry is a line of /proc/PID/mountinfo (proc_pid_mountinfo(5)).
type mountEntry struct {
	id, parent   int
	device       string // major:minor
	root         string // of the file system, that is mounted
	target       string
	options      []string // of this mount
	optional     []string // shared:N, master:N, …
	fstype       string
	source       string
	superOptions string // of the file system, comma-separated
}

func (m mountEntry) has(option string) bool { return slices.Contains(m.options, option) }

func (m mountEntry) hasSuper(option string) bool {
	return slices.Contains(strings.Split(m.superOptions, ","), option)
}

// propagation gives the mount's type as mount_namespaces(7) names them: private, shared, slave, shared+slave,
// unbindable.
func (m mountEntry) propagation() string {
	var words []string
	for _, o := range m.optional {
		switch {
		case strings.HasPrefix(o, "shared:"):
			words = append(words, "shared")
		case strings.HasPrefix(o, "master:"):
			words = append(words, "slave")
		case o == "unbindable":
			words = append(words, "unbindable")
		}
	}
	if len(words) == 0 {
		return "private"
	}
	return strings.Join(words, "+")
}

// parseMountinfo reads the text of a mountinfo file and leaves out lines that are not of its form.
func parseMountinfo(text string) []mountEntry {
	var mounts []mountEntry
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		dash := slices.Index(fields, "-")
		if dash < 6 || len(fields) < dash+4 {
			continue
		}
		m := mountEntry{
			device:       fields[2],
			root:         unescape.Replace(fields[3]),
			target:       unescape.Replace(fields[4]),
			options:      strings.Split(fields[5], ","),
			optional:     fields[6:dash],
			fstype:       fields[dash+1],
			source:       unescape.Replace(fields[dash+2]),
			superOptions: fields[dash+3],
		}
		m.id, _ = strconv.Atoi(fields[0])
		m.parent, _ = strconv.Atoi(fields[1])
		mounts = append(mounts, m)
	}
	return mounts
}

// mountAt finds the topmost mount on target and fails the test when there is none.
func mountAt(t *testing.T, mounts []mountEntry, target string) mountEntry {
	t.Helper()
	for _, m := range slices.Backward(mounts) {
		if m.target == target {
			return m
		}
	}
	t.Fatalf("nothing is mounted on %s; mounts: %s", target, targets(mounts))
	return mountEntry{}
}

func targets(mounts []mountEntry) string {
	var all []string
	for _, m := range mounts {
		all = append(all, m.target)
	}
	return strings.Join(all, " ")
}

// statusField gives a field of the text of a /proc/PID/status file, such as "CapEff".
func statusField(t *testing.T, status, name string) string {
	t.Helper()
	for line := range strings.Lines(status) {
		if key, value, ok := strings.Cut(line, ":"); ok && key == name {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no field %s in the status text:\n%s", name, status)
	return ""
}

// section cuts a script's output at lines "== NAME ==" and gives the one part; see withReport.
func section(t *testing.T, output, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut("\n"+output, "\n== "+name+" ==\n")
	if !ok {
		t.Fatalf("no section %q in the output:\n%s", name, output)
	}
	part, _, _ := strings.Cut("\n"+rest, "\n== ")
	part = strings.TrimPrefix(part, "\n")
	if part != "" && !strings.HasSuffix(part, "\n") {
		part += "\n" // which stood before the next heading
	}
	return part
}

// want fails the test when got is not what was wanted; what says of which thing.
func want[T comparable](t *testing.T, what string, got, wanted T) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %v, want %v", what, got, wanted)
	}
}

// wantContains fails the test when text lacks one of the parts.
func wantContains(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %q:\n%s", what, p, text)
		}
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
