// Command becomes is a Go program that starts as berth does and then only becomes the program that it is given: what is
// measured of the two is what the start of Go adds to the other.
package main

import (
	"fmt"
	"os"
	"syscall"

	_ "berth/entry"
)

func main() {
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "becomes:", syscall.Exec(os.Args[1], os.Args[1:], syscall.Environ()))
	}
	os.Exit(1)
}
