package libcontainer

import (
	"encoding/json"
	"reflect"
	"testing"

	"berth/cgroups"
)

func TestParseNetDev(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
eth0:1: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16
  short: 1 2 3
`
	want := []NetworkInterface{
		{Name: "lo", RxBytes: 100, RxPackets: 2, TxBytes: 100, TxPackets: 2},
		{Name: "eth0:1", RxBytes: 1, RxPackets: 2, RxErrors: 3, RxDropped: 4, TxBytes: 9, TxPackets: 10, TxErrors: 11, TxDropped: 12},
	}
	if got := parseNetDev(text); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	if got := parseNetDev(""); got == nil || len(got) != 0 {
		t.Errorf("of no text: %#v, want an empty list", got)
	}
}

// The keys are those that containerd's go-runc decodes.
func TestEventKeys(t *testing.T) {
	data, err := json.Marshal(&Event{Type: EventStats, ID: "x", Data: &Stats{Stats: &cgroups.Stats{}}})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Data map[string]any `json:"data"`
	}
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cpu", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"} {
		if _, ok := got.Data[key]; !ok {
			t.Errorf("no key %s in %s", key, data)
		}
		delete(got.Data, key)
	}
	if len(got.Data) > 0 {
		t.Errorf("keys that nobody knows: %v", got.Data)
	}
	data, err = json.Marshal(&Event{Type: EventOOM, ID: "x"})
	if err != nil || string(data) != `{"type":"oom","id":"x"}` {
		t.Errorf("oom: %s %v", data, err)
	}
}
