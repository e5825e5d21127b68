package cli

import "testing"

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "-1": -1, "1": 1, "67108864": 67108864, "64b": 64, "64B": 64,
		"1k": 1 << 10, "1K": 1 << 10, "1kb": 1 << 10, "1KiB": 1 << 10, "512M": 512 << 20, "512mib": 512 << 20,
		"2g": 2 << 30, "3T": 3 << 40, "1p": 1 << 50, "1.5g": 3 << 29, "0.5k": 512, "1 g": 1 << 30,
		"9223372036854775807": 1<<63 - 1, "8191p": 8191 << 50,
	} {
		if got, err := parseSize(text); err != nil || got != want {
			t.Errorf("%q: got %d %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", " ", "-", "-2", "-1k", "+1", "k", "1x", "1kk", "1i", "1ib", "1bk", "1e3", "0x10", "1.", ".5", "1.2.3", "1,5g", "1  g", "NaN", "inf",
		"9223372036854775808", "8192p", "8192.0p", "99999999999999999999g", "1.0e9g",
	} {
		if got, err := parseSize(text); err == nil {
			t.Errorf("%q is no size, and gave %d", text, got)
		}
	}
}
