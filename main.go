// How many processors a cgroup's quota amounts to is nothing that a command of some milliseconds has to know: Go's
// runtime need not look again while it runs.
//
//go:debug updatemaxprocs=0

// Command berth is a low-level OCI runtime: it turns a bundle into a running
// container. All it does is in package cli and below.
package main

import (
	"os"

	"berth/cli"
	_ "berth/entry" // the program begins there
)

func main() {
	forgetEntry()
	makeRoom(0)
	os.Exit(cli.Main(os.Args))
}

// forgetEntry takes out of the environment what package entry has put there: it
// is no business of the programs that berth starts.
func forgetEntry() {
	if os.Getenv("GOMAXPROCS") == "01" {
		os.Unsetenv("GOMAXPROCS")
	}
}

// makeRoom has the stack grow at once to what most commands need. By itself it
// would double, three times, each time from deeper below, and each time the
// runtime would read tables of the program for every function on it: 0.1 ms and
// 200 KB, of commands that take 1.5 ms.
//
//go:noinline
func makeRoom(n int) (sum byte) {
	if n > 0 { // never: it is the frame that counts
		var room [48 << 10]byte
		for i := range room {
			room[i] = byte(i * n)
		}
		for i := range room {
			sum += room[i]
		}
	}
	return sum
}
