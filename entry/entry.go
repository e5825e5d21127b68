//go:build amd64 || arm64

// Package entry is what berth does before Go's runtime starts, and before any other package
// is set up: it imports none but the runtime. The program begins at entry (entry_*.s; -E in
// the Makefile), which adds GOMAXPROCS=01 to the environment
// (docs/decisions/012-one-processor.md), asks the kernel at once for the pages that every
// command touches (docs/decisions/013-pages-at-once.md), has the runtime find no quota
// (docs/decisions/014-no-quota.md), and its monitor wake seldom
// (docs/decisions/017-timer-slack.md).
package entry

import (
	"runtime"
	"unsafe"
)

// memProfileRate is for entry: a sample of memory is taken where the rate is another than
// that with which the runtime began, and it sets the rate to 0 where nobody reads samples.
//
//lint:ignore U1000 entry reads it
var memProfileRate = &runtime.MemProfileRate

// heap is how many bytes of Go's heap most commands touch after this, in whole pages of any
// size.
const heap = 384 << 10

// large is a size, in bytes, to which Go gives pages of its own: all over 32 KB. It is a
// variable, since an object of a constant size would lie on the stack.
var large = 40 << 10

// files is RLIMIT_NOFILE, soft and hard, as it was when the program began. Until init the soft
// one is 3: Go's runtime opens no file then, but in place of a standard one that its caller has
// closed. files[0] is 3 or less when entry has left the limit alone.
var files [2]uint64

// restoreFiles sets RLIMIT_NOFILE to files.
func restoreFiles()

// timerSlack is that of the thread with which the program began, in nanoseconds; 0 when entry
// has left it alone. From entry to init it is 5 ms: Go's monitor is started meanwhile, and
// keeps that. So do the threads that the monitor starts.
//
//lint:ignore U1000 entry and RestoreTimerSlack use it
var timerSlack uintptr

// RestoreTimerSlack gives the calling thread the timer slack with which the program began
// (PR_SET_TIMERSLACK, prctl(2)). A child has that of the thread that it is forked from, as its
// default too: this comes right before a fork, as the thread may be one that Go's monitor
// started.
func RestoreTimerSlack()

// A large object lies where the heap goes on. It is not used.
func init() {
	if files[0] > 3 {
		restoreFiles()
	}
	RestoreTimerSlack()
	end := uintptr(unsafe.Pointer(unsafe.SliceData(make([]byte, large)))) + uintptr(large)
	populate(end, end+heap)
}

// populate has the kernel map the pages from start to before end, which can be written, if
// it knows how (Linux 5.14).
func populate(start, end uintptr)
