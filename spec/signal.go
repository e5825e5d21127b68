package spec

import (
	"fmt"
	"strconv"
	"strings"
)

// The real-time signals as libc hands them out; the kernel's first two belong
// to its threads (signal(7)).
const (
	sigRTMin = 34
	sigRTMax = 64
)

// Signal gives the number of a signal that was named in any of the ways kill(1)
// takes: 15, TERM, SIGTERM, RTMIN+3, SIGRTMAX-1, in capitals or not. 0 is a
// signal too: it asks whether the process is there (kill(2)). The numbers are
// those of asm-generic/signal.h.
func Signal(nameOrNumber string) (int, error) {
	if n, err := strconv.ParseUint(nameOrNumber, 10, 31); err == nil {
		if n > sigRTMax {
			return 0, fmt.Errorf("signal %s: there is none beyond %d", nameOrNumber, sigRTMax)
		}
		return int(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(nameOrNumber), "SIG")
	if n := standardSignal(name); n != 0 {
		return n, nil
	}
	if n, ok := realTimeSignal(name); ok {
		return n, nil
	}
	return 0, fmt.Errorf("signal %q is unknown: use a name (TERM, SIGTERM, RTMIN+1) or a number from 0 to %d", nameOrNumber, sigRTMax)
}

// realTimeSignal resolves RTMIN, RTMIN+N, RTMAX and RTMAX-N.
func realTimeSignal(name string) (int, bool) {
	base, sign := sigRTMin, "+"
	offset, ok := strings.CutPrefix(name, "RTMIN")
	if !ok {
		base, sign = sigRTMax, "-"
		if offset, ok = strings.CutPrefix(name, "RTMAX"); !ok {
			return 0, false
		}
	}
	if offset == "" {
		return base, true
	}
	digits, ok := strings.CutPrefix(offset, sign)
	n, err := strconv.ParseUint(digits, 10, 8)
	if !ok || err != nil || n > sigRTMax-sigRTMin {
		return 0, false
	}
	if sign == "-" {
		return base - int(n), true
	}
	return base + int(n), true
}

// standardSignal gives the number of one of the signals 1 to 31, without SIG
// in front, and 0 for any other name.
func standardSignal(name string) int {
	switch name {
	case "HUP":
		return 1
	case "INT":
		return 2
	case "QUIT":
		return 3
	case "ILL":
		return 4
	case "TRAP":
		return 5
	case "ABRT", "IOT":
		return 6
	case "BUS":
		return 7
	case "FPE":
		return 8
	case "KILL":
		return 9
	case "USR1":
		return 10
	case "SEGV":
		return 11
	case "USR2":
		return 12
	case "PIPE":
		return 13
	case "ALRM":
		return 14
	case "TERM":
		return 15
	case "STKFLT":
		return 16
	case "CHLD", "CLD":
		return 17
	case "CONT":
		return 18
	case "STOP":
		return 19
	case "TSTP":
		return 20
	case "TTIN":
		return 21
	case "TTOU":
		return 22
	case "URG":
		return 23
	case "XCPU":
		return 24
	case "XFSZ":
		return 25
	case "VTALRM":
		return 26
	case "PROF":
		return 27
	case "WINCH":
		return 28
	case "IO", "POLL":
		return 29
	case "PWR":
		return 30
	case "SYS", "UNUSED":
		return 31
	}
	return 0
}
