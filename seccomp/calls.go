package seccomp

import "slices"

// call is one name of one rule on one architecture.
type call struct {
	name   string
	number uint32
	rule   int // index in profile.rules
	// member is the part of socketcall(2) or ipc(2) that is meant, where number
	// is one of those; its zero value where number is the call itself.
	member member
}

// member is a call as socketcall(2) and ipc(2) carry it: the first argument
// says which one, in the bits of mask.
type member struct {
	carrier   carrier
	sub, mask uint32
}

type carrier uint8

const (
	bySocketcall carrier = iota + 1
	byIPC
)

// memberOf gives the place of a call in socketcall(2) (linux/net.h) or ipc(2)
// (linux/ipc.h), which some architectures have. The kernel looks at 32 bits of
// socketcall's argument and at 16 of ipc's, whose others are a version.
func memberOf(name string) (member, bool) {
	sub := uint32(0)
	switch name {
	case "socket":
		sub = 1
	case "bind":
		sub = 2
	case "connect":
		sub = 3
	case "listen":
		sub = 4
	case "accept":
		sub = 5
	case "getsockname":
		sub = 6
	case "getpeername":
		sub = 7
	case "socketpair":
		sub = 8
	case "send":
		sub = 9
	case "recv":
		sub = 10
	case "sendto":
		sub = 11
	case "recvfrom":
		sub = 12
	case "shutdown":
		sub = 13
	case "setsockopt":
		sub = 14
	case "getsockopt":
		sub = 15
	case "sendmsg":
		sub = 16
	case "recvmsg":
		sub = 17
	case "accept4":
		sub = 18
	case "recvmmsg":
		sub = 19
	case "sendmmsg":
		sub = 20
	}
	if sub > 0 {
		return member{bySocketcall, sub, ^uint32(0)}, true
	}
	switch name {
	case "semop":
		sub = 1
	case "semget":
		sub = 2
	case "semctl":
		sub = 3
	case "semtimedop":
		sub = 4
	case "msgsnd":
		sub = 11
	case "msgrcv":
		sub = 12
	case "msgget":
		sub = 13
	case "msgctl":
		sub = 14
	case "shmat":
		sub = 21
	case "shmdt":
		sub = 22
	case "shmget":
		sub = 23
	case "shmctl":
		sub = 24
	}
	return member{byIPC, sub, 0xffff}, sub > 0
}

// resolve gives the calls of each architecture of the profile in the order of
// the rules, and the names that no architecture has. find is newLookup, in tests another.
func resolve(prof *profile, find func(arch) (lookup, error)) (calls [][]call, unknown []string, err error) {
	calls = make([][]call, len(prof.archs))
	for n, a := range prof.archs {
		numbers, err := newNumbers(a, find)
		if err != nil {
			return nil, nil, err
		}
		for r := range prof.rules {
			for _, name := range prof.rules[r].names {
				own, err := numbers.Number(name)
				if err != nil {
					return nil, nil, err
				}
				if own == unknownCall && n == 0 && !slices.Contains(unknown, name) {
					unknown = append(unknown, name)
				}
				if m, ok := memberOf(name); ok {
					if via := numbers.carrier(m); via >= 0 {
						calls[n] = append(calls[n], call{name: name, number: uint32(via), rule: r, member: m})
						own = numbers.direct(name)
					}
				}
				if own >= 0 {
					calls[n] = append(calls[n], call{name: name, number: uint32(own), rule: r})
				}
			}
		}
	}
	return calls, unknown, nil
}

// numbers finds the numbers of one architecture's calls.
type numbers struct {
	lookup
	socketcall, ipc int32            // negative where the architecture has none
	own             map[string]int32 // numbers that members have beside, see direct
}

func newNumbers(a arch, find func(arch) (lookup, error)) (n numbers, err error) {
	if n.lookup, err = find(a); err != nil {
		return n, err
	}
	if n.socketcall, err = n.Number("socketcall"); err != nil {
		return n, err
	}
	n.ipc, err = n.Number("ipc")
	return n, err
}

func (n *numbers) carrier(m member) int32 {
	if m.carrier == bySocketcall {
		return n.socketcall
	}
	return n.ipc
}

// direct gives the number that a member of socketcall or ipc has for itself,
// negative when it has none. libseccomp answers such a name with a stand-in below
// zero, even if the kernel has added a number since (x86: Linux 4.3); so it is
// asked for the names of the numbers. Those are 326 to 402 everywhere, above
// 4000 with MIPS; o32 MIPS had some from its start, at 168 to 184. socketcall is
// 102 everywhere, ipc 117.
func (n *numbers) direct(name string) int32 {
	if n.own == nil {
		n.own = map[string]int32{}
		base := n.ipc - 117
		n.collect(base+326, base+402)
		if base > 0 {
			n.collect(base+168, base+184)
		}
	}
	if nr, ok := n.own[name]; ok {
		return nr
	}
	return -1
}

func (n *numbers) collect(from, to int32) {
	for nr := from; nr <= to; nr++ {
		if name := n.Name(nr); name != "" {
			n.own[name] = nr
		}
	}
}
