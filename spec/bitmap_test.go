package spec

import (
	"slices"
	"testing"
)

func TestBitmap(t *testing.T) {
	for list, want := range map[string][]uint64{
		"0": {1}, "0-3,7": {0x8f}, "63": {1 << 63}, "64": {0, 1}, "7,0-1,1-2": {0x87}, " 0 - 1 , 3 ": {0xb}, "62-65": {3 << 62, 3}, "5-5": {32},
	} {
		if have, err := Bitmap(list); err != nil || !slices.Equal(have, want) {
			t.Errorf("%q: have %x %v, want %x", list, have, err, want)
		}
	}
	if mask, err := Bitmap("65535"); err != nil || len(mask) != 1024 {
		t.Errorf("have %d words %v", len(mask), err)
	}
	for _, list := range []string{"", ",", "1,", ",1", "a", "1-", "-1", "1-a", "3-1", "65536", "0-65536", "99999999999999999999", "0x1", "1.5", "0-3:1/2", "1 2"} {
		if mask, err := Bitmap(list); err == nil {
			t.Errorf("%q is %x", list, mask)
		}
	}
}
