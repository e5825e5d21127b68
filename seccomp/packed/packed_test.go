package packed

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

// unpack unpacks into memory of its own.
func unpack(data []byte) ([]byte, error) {
	size, err := Size(data)
	if err != nil {
		return nil, err
	}
	program := make([]byte, size)
	return program, Unpack(data, program)
}

func TestPack(t *testing.T) {
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	data, err := Pack("2.5.4", program)
	if err != nil {
		t.Fatal(err)
	}
	if len(data) > len(program)*3/4 {
		t.Errorf("%d bytes are %d when packed", len(program), len(data))
	}
	if version, err := Version(data); err != nil || version != "2.5.4" {
		t.Errorf("version %q, %v", version, err)
	}
	if err := Unpack(data, make([]byte, len(program)+1)); err == nil {
		t.Error("it is unpacked into more room than it has bytes")
	}
	got, err := unpack(data)
	if err != nil || !bytes.Equal(got, program) {
		t.Errorf("unpacked %d bytes of %d: %v", len(got), len(program), err)
	}
}

func TestNotPacked(t *testing.T) {
	for _, version := range []string{"", "2.5 4", "2\n", strings.Repeat("9", 80)} {
		if _, err := Pack(version, []byte("program")); err == nil {
			t.Errorf("version %q is packed", version)
		}
	}
	if _, err := Pack("2.5.4", nil); err == nil {
		t.Error("an empty program is packed")
	}
	packed, err := Pack("2.5.4", bytes.Repeat([]byte("program"), 100))
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"nothing":           "",
		"an ELF file":       "\x7fELF",
		"no size":           "libseccomp 2.5.4\n",
		"a size below zero": "libseccomp 2.5.4 -1\n",
		"an endless size":   "libseccomp 2.5.4 99999999999\n",
		"no end of line":    "libseccomp 2.5.4 7",
		"no program":        "libseccomp 2.5.4 700\n",
		"half of it":        string(packed[:len(packed)/2]),
		"too large a size":  strings.Replace(string(packed), " 700\n", " 701\n", 1),
		"too small a size":  strings.Replace(string(packed), " 700\n", " 699\n", 1),
	} {
		if _, err := unpack([]byte(data)); err == nil {
			t.Errorf("%s is unpacked", name)
		}
	}
}

// FuzzUnpack: whatever the data are, it does no harm.
func FuzzUnpack(f *testing.F) {
	data, err := Pack("2.5.4", bytes.Repeat([]byte("program"), 100))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte("libseccomp 2.5.4 7\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if program, err := unpack(data); err == nil && len(program) == 0 {
			t.Error("an empty program")
		}
	})
}
