package devices

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func parseJSON(t *testing.T, text string) []specs.LinuxDeviceCgroup {
	t.Helper()
	var list []specs.LinuxDeviceCgroup
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatal(err)
	}
	return list
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ name, rules, want string }{
		{"type", `[{"allow":true,"type":"x","access":"r"}]`,
			`linux.resources.devices[0].type: "x" is not a device type: give "a" (all), "c" (character) or "b" (block)`},
		{"fifo", `[{"allow":true,"type":"p","access":"r"}]`,
			`linux.resources.devices[0].type: "p" is a fifo, which no device cgroup controls: give "a" (all), "c" (character) or "b" (block)`},
		{"major", `[{"allow":true,"type":"c","major":-2,"access":"r"}]`,
			`linux.resources.devices[0].major: -2 is not a device number: give 0 to 4294967294, or leave it out for any`},
		{"minor", `[{"allow":true,"type":"c","minor":4294967295,"access":"r"}]`,
			`linux.resources.devices[0].minor: 4294967295 is not a device number: give 0 to 4294967294, or leave it out for any`},
		{"access", `[{"allow":true,"type":"c","access":"rx"}]`,
			`linux.resources.devices[0].access: 'x' in "rx" is not an access: give any of r (read), w (write) and m (mknod)`},
		{"no access", `[{"allow":true,"type":"c"}]`,
			`linux.resources.devices[0].access: it is empty: give any of r (read), w (write) and m (mknod)`},
		{"narrow all", `[{"allow":false,"access":"rwm"},{"allow":true,"major":7,"access":"rwm"}]`,
			`linux.resources.devices[1]: it allows "a 7:* rwm", but the kernel's device cgroup takes type "a" (which is also what an unset type means) as every access to every device, and ignores the rest: write one rule with type "c" and one with type "b"`},
		{"partial all", `[{"allow":false,"access":"m"}]`,
			`linux.resources.devices[0]: it denies "a *:* m", but the kernel's device cgroup takes type "a" (which is also what an unset type means) as every access to every device, and ignores the rest: write one rule with type "c" and one with type "b"`},
		{"every problem", `[{"allow":true,"type":"x","access":"r"},{"allow":true,"type":"c","access":"q"}]`,
			`linux.resources.devices[0].type: "x" is not a device type: give "a" (all), "c" (character) or "b" (block)` + "\n" +
				`linux.resources.devices[1].access: 'q' in "q" is not an access: give any of r (read), w (write) and m (mknod)`},
		{"hole", `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":10,"access":"rw"},{"allow":false,"type":"c","major":10,"minor":229,"access":"w"}]`,
			`linux.resources.devices[2]: it denies "c 10:229 w", but linux.resources.devices[1] allows "c 10:* rw", and the kernel's device cgroup only takes back a rule for exactly the same devices, so this one would have no effect: allow only what is needed, device by device`},
		{"wider", `[{"allow":true,"type":"c","major":10,"minor":229,"access":"rw"},{"allow":false,"type":"c","access":"r"}]`,
			`linux.resources.devices[1]: it denies "c *:* r", but linux.resources.devices[0] allows "c 10:229 rw", and the kernel's device cgroup only takes back a rule for exactly the same devices, so this one would have no effect: allow only what is needed, device by device`},
		{"allow in a deny list", `[{"allow":true,"access":"rwm"},{"allow":false,"type":"b","access":"rwm"},{"allow":true,"type":"b","major":8,"access":"r"}]`,
			`linux.resources.devices[2]: it allows "b 8:* r", but linux.resources.devices[1] denies "b *:* rwm", and the kernel's device cgroup only takes back a rule for exactly the same devices, so this one would have no effect: deny only what has to be denied, device by device`},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := New(parseJSON(t, c.rules))
			if err == nil {
				t.Fatalf("no error, but the filter %v", f)
			}
			if err.Error() != c.want {
				t.Errorf("error:\n%s\nwant:\n%s", err, c.want)
			}
		})
	}
}

func TestTooManyRules(t *testing.T) {
	list := make([]specs.LinuxDeviceCgroup, MaxRules+1)
	for i := range list {
		minor := int64(i)
		list[i] = specs.LinuxDeviceCgroup{Allow: true, Type: "c", Minor: &minor, Access: "r"}
	}
	if _, err := New(list[:MaxRules]); err != nil {
		t.Errorf("%d rules: %v", MaxRules, err)
	}
	_, err := New(list)
	if err == nil || !strings.HasPrefix(err.Error(), "linux.resources.devices[4096]: there are 4097 rules") {
		t.Errorf("%d rules: error %v", len(list), err)
	}
}

// TestAccepted holds rules that are refused by nobody, in the forms engines
// write them in.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		name, rules string
		allowed     []request
		denied      []request
	}{
		{"none", `[]`,
			[]request{{'c', 1, 3, "rw"}, {'c', 136, 77, "rw"}, {'c', 5, 2, "rw"}, {'b', 8, 0, "m"}},
			[]request{{'c', 10, 229, "r"}, {'c', 10, 200, "rw"}, {'c', 5, 1, "rw"}, {'b', 8, 0, "r"}}},
		{"deny all", `[{"allow":false,"access":"rwm"}]`,
			[]request{{'c', 1, 9, "r"}, {'c', 10, 229, "m"}},
			[]request{{'c', 1, 1, "r"}, {'b', 8, 0, "rm"}}},
		{"deny all without access", `[{"allow":false}]`,
			[]request{{'c', 1, 9, "r"}},
			[]request{{'c', 1, 1, "r"}}},
		{"privileged", `[{"allow":true,"access":"rwm"}]`,
			[]request{{'c', 1, 1, "rw"}, {'b', 8, 0, "rwm"}}, nil},
		{"Docker's *", `[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":42,"minor":-1,"access":"rmw"}]`,
			[]request{{'c', 42, 7, "rwm"}},
			[]request{{'c', 43, 7, "r"}}},
		{"partial", `[{"allow":false,"access":"rwm"},{"allow":true,"type":"b","major":8,"minor":0,"access":"rw"},{"allow":false,"type":"b","major":8,"minor":0,"access":"w"}]`,
			[]request{{'b', 8, 0, "r"}, {'b', 8, 0, "m"}},
			[]request{{'b', 8, 0, "w"}, {'b', 8, 0, "rw"}}},
		{"deny before allow", `[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"},{"allow":true,"type":"c","major":10,"minor":229,"access":"r"}]`,
			[]request{{'c', 10, 229, "r"}, {'c', 10, 200, "rwm"}},
			[]request{{'c', 10, 229, "w"}, {'c', 10, 229, "rw"}}},
		{"the default comes last", `[{"allow":true,"type":"c","major":1,"minor":3,"access":"rwm"},{"allow":false,"access":"rwm"}]`,
			[]request{{'c', 1, 3, "rwm"}},
			[]request{{'c', 1, 4, "r"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := New(parseJSON(t, c.rules))
			if err != nil {
				t.Fatal(err)
			}
			code := encoded(t, f)
			for _, q := range c.allowed {
				if !interpret(t, code, q) {
					t.Errorf("%v is denied", q)
				}
			}
			for _, q := range c.denied {
				if interpret(t, code, q) {
					t.Errorf("%v is allowed", q)
				}
			}
			if want := c.denied == nil; f.Unrestricted() != want {
				t.Errorf("Unrestricted is %v, want %v", f.Unrestricted(), want)
			}
		})
	}
}

// TestGolden prints the program and the v1 writes of configurations that
// engines wrote.
func TestGolden(t *testing.T) {
	cases := map[string][]specs.LinuxDeviceCgroup{
		"privileged": parseJSON(t, `[{"allow":true,"access":"rwm"}]`),
		"denylist":   parseJSON(t, `[{"allow":true,"access":"rwm"},{"allow":false,"type":"c","major":10,"minor":229,"access":"rwm"},{"allow":false,"type":"b","major":8,"access":"w"}]`),
	}
	for _, name := range []string{"docker-run", "spec-default"} {
		text, err := os.ReadFile(filepath.Join("../../tests/workloads", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var config specs.Spec
		if err := json.Unmarshal(text, &config); err != nil {
			t.Fatal(err)
		}
		cases[name] = config.Linux.Resources.Devices
	}
	for name, rules := range cases {
		t.Run(name, func(t *testing.T) {
			f, err := New(rules)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			b.WriteString("v2:\n" + text(t, f) + "\nv1:\n")
			for _, w := range f.V1Writes() {
				b.WriteString(w.File + " " + w.Value + "  # " + w.Origin + "\n")
			}
			golden(t, name, b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("differs from %s (go test -update rewrites it):\n%s", file, got)
	}
}

func TestParseV1List(t *testing.T) {
	f, err := ParseV1List("c *:* m\nb 8:0 r\nc 136:* rwm\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range f.Exceptions {
		got = append(got, r.String())
	}
	if want := "c *:* m, b 8:0 r, c 136:* rwm"; strings.Join(got, ", ") != want || f.AllowAll {
		t.Errorf("got %v, want %s", got, want)
	}
	if f, err = ParseV1List("a *:* rwm\n"); err != nil || !f.Unrestricted() {
		t.Errorf("a *:* rwm: %v, %v", f, err)
	}
	if f, err = ParseV1List(""); err != nil || f.AllowAll || len(f.Exceptions) > 0 {
		t.Errorf("empty: %v, %v", f, err)
	}
	for _, bad := range []string{"c 1:3\n", "c 13 rwm\n", "x 1:3 rwm\n", "c 1:y rwm\n", "c x:1 rwm\n", "c 1:3 rwq\n", "\n"} {
		if f, err := ParseV1List(bad); err == nil {
			t.Errorf("%q: no error, but %v", bad, f)
		}
	}
}
