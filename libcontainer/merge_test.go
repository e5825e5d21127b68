package libcontainer

import (
	"reflect"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func ref[T any](v T) *T { return &v }

func TestMergeResources(t *testing.T) {
	throttle := func(major, minor int64, rate uint64) specs.LinuxThrottleDevice {
		var d specs.LinuxThrottleDevice
		d.Major, d.Minor, d.Rate = major, minor, rate
		return d
	}
	for _, c := range []struct {
		name               string
		have, change, want specs.LinuxResources
	}{
		{"nothing changes nothing",
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(5))}}, specs.LinuxResources{},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(5))}}},
		{"a field beside others",
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(5)), Cpus: "0"}, Pids: &specs.LinuxPids{Limit: ref(int64(9))}},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Quota: ref(int64(7)), Mems: "1"}},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(5)), Quota: ref(int64(7)), Cpus: "0", Mems: "1"}, Pids: &specs.LinuxPids{Limit: ref(int64(9))}}},
		{"0 where it asks for nothing",
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(5)), Burst: ref(uint64(6)), Idle: ref(int64(1))}, Memory: &specs.LinuxMemory{Limit: ref(int64(8)), Swap: ref(int64(9))}},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(0)), Burst: ref(uint64(0)), Idle: ref(int64(0))}, Memory: &specs.LinuxMemory{Limit: ref(int64(0)), Swap: ref(int64(0))}},
			specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ref(uint64(5)), Burst: ref(uint64(0)), Idle: ref(int64(0))}, Memory: &specs.LinuxMemory{Limit: ref(int64(8)), Swap: ref(int64(9))}}},
		{"no processes at all",
			specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ref(int64(9))}}, specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ref(int64(0))}},
			specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ref(int64(0))}}},
		{"unlimited memory makes swap so",
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ref(int64(8)), Swap: ref(int64(9))}},
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ref(int64(-1))}},
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ref(int64(-1)), Swap: ref(int64(-1))}}},
		{"unless it is given",
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ref(int64(8)), Swap: ref(int64(9))}},
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ref(int64(-1)), Swap: ref(int64(12))}},
			specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ref(int64(-1)), Swap: ref(int64(12))}}},
		{"lists by their key",
			specs.LinuxResources{
				BlockIO:        &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{throttle(8, 0, 1), throttle(8, 16, 2)}},
				HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 1}},
				Network:        &specs.LinuxNetwork{ClassID: ref(uint32(3)), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 1}}},
				Rdma:           map[string]specs.LinuxRdma{"a": {HcaHandles: ref(uint32(1)), HcaObjects: ref(uint32(2))}},
				Unified:        map[string]string{"memory.high": "1"},
			},
			specs.LinuxResources{
				BlockIO:        &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{throttle(8, 16, 7), throttle(9, 0, 8)}},
				HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "1GB", Limit: 4}, {Pagesize: "2MB", Limit: 5}},
				Network:        &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 9}}},
				Rdma:           map[string]specs.LinuxRdma{"a": {HcaHandles: ref(uint32(7))}, "b": {HcaObjects: ref(uint32(8))}},
				Unified:        map[string]string{"memory.high": "2", "pids.max": "3"},
			},
			specs.LinuxResources{
				BlockIO:        &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{throttle(8, 0, 1), throttle(8, 16, 7), throttle(9, 0, 8)}},
				HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 5}, {Pagesize: "1GB", Limit: 4}},
				Network:        &specs.LinuxNetwork{ClassID: ref(uint32(3)), Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 9}}},
				Rdma:           map[string]specs.LinuxRdma{"a": {HcaHandles: ref(uint32(7)), HcaObjects: ref(uint32(2))}, "b": {HcaObjects: ref(uint32(8))}},
				Unified:        map[string]string{"memory.high": "2", "pids.max": "3"},
			}},
		{"rules for devices stay",
			specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}},
			specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true}}},
			specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			have, change := deepCopy(t, &c.have), deepCopy(t, &c.change)
			if got := mergeResources(&c.have, &c.change); !reflect.DeepEqual(got, &c.want) {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
			if !reflect.DeepEqual(&c.have, have) || !reflect.DeepEqual(&c.change, change) {
				t.Error("an argument was changed")
			}
		})
	}
	all := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ref(int64(1))}}
	if got := mergeResources(nil, all); !reflect.DeepEqual(got, all) {
		t.Errorf("laid over nothing: %+v", got)
	}
	if got := mergeResources(all, nil); !reflect.DeepEqual(got, all) {
		t.Errorf("with no change: %+v", got)
	}
}

// deepCopy keeps a value apart from what a function does to it.
func deepCopy(t *testing.T, r *specs.LinuxResources) *specs.LinuxResources {
	t.Helper()
	v := reflect.ValueOf(r)
	return copyValue(v).Interface().(*specs.LinuxResources)
}

func copyValue(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		out := reflect.New(v.Type().Elem())
		out.Elem().Set(copyValue(v.Elem()))
		return out
	case reflect.Struct:
		out := reflect.New(v.Type()).Elem()
		for i := range v.NumField() {
			out.Field(i).Set(copyValue(v.Field(i)))
		}
		return out
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := range v.Len() {
			out.Index(i).Set(copyValue(v.Index(i)))
		}
		return out
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		out := reflect.MakeMap(v.Type())
		for _, k := range v.MapKeys() {
			out.SetMapIndex(k, copyValue(v.MapIndex(k)))
		}
		return out
	}
	return v
}

// Each field of a section that change can have is taken over: a field that specs-go gains must not be forgotten.
func TestMergeTakesEveryField(t *testing.T) {
	change := &specs.LinuxResources{}
	fill(reflect.ValueOf(change).Elem())
	change.Devices = nil
	//lint:ignore SA1019 what has no effect is not merged
	change.Memory.Kernel, change.Memory.KernelTCP = nil, nil
	if got := mergeResources(nil, change); !reflect.DeepEqual(got, change) {
		t.Errorf("got  %+v\nwant %+v", got, change)
	}
	if got := touchedResources(change, change); !reflect.DeepEqual(got, change) {
		t.Errorf("touched %+v\nof %+v", got, change)
	}
	if got := touchedResources(change, &specs.LinuxResources{}); !reflect.DeepEqual(got, &specs.LinuxResources{}) {
		t.Errorf("touched by nothing: %+v", got)
	}
}

// fill sets everything in a value to something that is not zero.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0))
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
		fill(key)
		fill(value)
		v.SetMapIndex(key, value)
	case reflect.String:
		v.SetString("x")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(3)
	case reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(3)
	}
}
