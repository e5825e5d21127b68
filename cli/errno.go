package cli

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// errnoName returns an error number's name, such as EPERM.
func errnoName(n uint16) string {
	if name := unix.ErrnoName(unix.Errno(n)); name != "" {
		return name
	}
	return fmt.Sprintf("errno %d", n)
}
