package fs

import "testing"

func TestIsVictim(t *testing.T) {
	const path = "/system.slice/berth-web.scope"
	for record, want := range map[string]bool{
		"6,733,81205,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=berth-web.scope,mems_allowed=0,oom_memcg=/system.slice/berth-web.scope,task_memcg=/system.slice/berth-web.scope,task=tail,pid=611,uid=0\n SUBSYSTEM=x\n": true,
		"6,733,81205,-;oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,task_memcg=/system.slice/berth-web.scope/inner,task=tail,pid=611,uid=0\n":                                                     true,
		"6,733,81205,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/system.slice/berth-web.scope,task_memcg=/system.slice/berth-web.scopes,task=tail,pid=611,uid=0\n":                                                                    false,
		"6,733,81205,-;oom-kill:constraint=CONSTRAINT_MEMCG,oom_memcg=/system.slice,task_memcg=/system.slice/other.scope,task=tail,pid=611,uid=0\n":                                                                                         false,
		// Written by a process (LOG_USER).
		"14,733,81205,-;oom-kill:constraint=CONSTRAINT_MEMCG,task_memcg=/system.slice/berth-web.scope,task=tail,pid=611,uid=0\n": false,
		"3,734,81205,-;Memory cgroup out of memory: Killed process 611 (tail) total-vm:20480kB\n":                                false,
		"oom-kill:": false,
		"":          false,
	} {
		if got := isVictim([]byte(record), path); got != want {
			t.Errorf("%q: %v", record, got)
		}
	}
}

// What memory.events told is not told again when only the log is left.
func TestOOMLogCounts(t *testing.T) {
	var none *oomLog
	none.catchUp(3)
	if none.tellsMore(0) {
		t.Error("no log told of a victim")
	}
	none.close()
	for _, c := range []struct {
		told, counted uint64
		more          bool
	}{{0, 0, false}, {1, 0, true}, {1, 1, false}, {1, 3, false}, {4, 3, true}} {
		l := &oomLog{fd: -1, told: c.told}
		if got := l.tellsMore(c.counted); got != c.more {
			t.Errorf("%d in the log, %d counted: %v", c.told, c.counted, got)
		}
	}
	l := &oomLog{fd: -1, told: 10}
	l.catchUp(15)
	l.told++ // the next record
	if !l.tellsMore(15) {
		t.Error("the victim after a storm is lost")
	}
}
