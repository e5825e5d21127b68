package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// What a container with a class sends goes the way that traffic control has for the class: here one class has a queue
// that holds nothing.
func TestNetworkClassHolds(t *testing.T) {
	t.Parallel()
	needsRoot(t)
	needsController(t, "net_cls")
	// The runtime starts in a network namespace of the test's, which the container shares as it would the host's.
	const inNamespace = `ip link set lo up
tc -batch - <<END || exit 99
qdisc add dev lo root handle 10: htb
class add dev lo parent 10: classid 10:1 htb rate 1gbit
class add dev lo parent 10: classid 10:2 htb rate 1gbit
qdisc add dev lo parent 10:2 handle 20: pfifo limit 0
filter add dev lo parent 10: protocol ip prio 1 handle 1: cgroup
END
exec "$@"`
	for class, says := range map[uint32]string{0x100001: "arrived\n", 0x100002: "lost\n"} {
		c := newContainer(t, withoutNamespace(specs.NetworkNamespace), withCapabilities("CAP_NET_RAW"),
			withScript("ping -c 1 -W 2 127.0.0.1 >/dev/null 2>&1 && echo arrived || echo lost"),
			withResources(func(r *specs.LinuxResources) { r.Network = &specs.LinuxNetwork{ClassID: ptr(class)} }))
		p := call{program: lookPath(t, "unshare")}
		r := p.run(t, append([]string{"--net", "sh", "-c", inNamespace, "sh", host.runtime}, c.args(c.command("run", nil)...)...)...)
		want(t, "a packet of the class", r.ok(t).stdout, says)
	}
}

// What a container sends over an interface has the priority that its config gives it there: here one priority has a
// queue that holds nothing. The kernel knows priorities for the interfaces of its first network namespace alone.
func TestNetworkPriorityHolds(t *testing.T) {
	needsRoot(t)
	needsController(t, "net_prio")
	name := fmt.Sprintf("berth%d", os.Getpid())
	runProgram(t, "ip", "link", "add", name, "type", "dummy")
	t.Cleanup(func() { runProgram(t, "ip", "link", "delete", name) })
	runProgram(t, "ip", "link", "set", name, "addrgenmode", "none", "up")
	runProgram(t, "ip", "address", "add", "192.0.2.1/24", "dev", name)
	// The map says the queue, 1:1 to 1:3, of each priority from 0 on: 1:3 is for 7 alone.
	runProgram(t, "tc", strings.Fields("qdisc add dev "+name+" root handle 1: prio bands 3 priomap 0 0 0 0 0 0 0 2 0 0 0 0 0 0 0 0")...)
	runProgram(t, "tc", strings.Fields("qdisc add dev "+name+" parent 1:3 handle 30: pfifo limit 0")...)
	for priority, says := range map[uint32]string{6: "sent: 1\n", 7: "sent: 0\n"} {
		c := newContainer(t, withoutNamespace(specs.NetworkNamespace), withCapabilities("CAP_NET_RAW"),
			withScript(`cd /sys/class/net/`+name+`/statistics && before=$(cat tx_packets)
				ping -c 1 -W 1 192.0.2.2 >/dev/null 2>&1
				echo sent: $(($(cat tx_packets) - before))`),
			withResources(func(r *specs.LinuxResources) {
				r.Network = &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: name, Priority: priority}}}
			}))
		want(t, fmt.Sprintf("with priority %d", priority), c.run().ok(t).stdout, says)
	}
}
