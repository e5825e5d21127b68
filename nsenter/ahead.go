package nsenter

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Ahead is a thread that makes namespaces for a process before it is known what
// the process has to do: it takes the kernel about as long as it takes berth to
// find that out (docs/decisions/010-namespaces-ahead.md). Nobody else is in them,
// and they end with the thread where no process has been started in them.
type Ahead struct {
	flags uint64
	made  func()
	work  chan func() error
	done  chan error
}

// MakeAhead begins to make namespaces: CLONE_NEW* bits of those that unshare(2)
// makes for one thread of many, so not CLONE_NEWUSER, nor those that are for
// children alone (CLONE_NEWPID, CLONE_NEWTIME). It calls made when they are there,
// or could not be made, which Wait returns. Close ends it, used or not.
func MakeAhead(flags uint64, made func()) *Ahead {
	a := &Ahead{flags: flags, made: made, work: make(chan func() error, 1), done: make(chan error, 1)}
	go a.run()
	return a
}

// run serves on a thread other than the process's first, which Go never ends and
// whose namespaces /proc/self shows as the process's.
func (a *Ahead) run() {
	runtime.LockOSThread()
	if unix.Gettid() != unix.Getpid() {
		a.serve()
		return
	}
	began := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		close(began)
		a.serve()
	}()
	<-began // on another thread, as this one was locked
	runtime.UnlockOSThread()
}

// serve runs on a thread that is never unlocked: Go ends it for that.
func (a *Ahead) serve() {
	err := unix.Unshare(int(a.flags))
	a.made()
	f, used := <-a.work
	switch {
	case !used:
	case err != nil:
		a.done <- startError(err)
	default:
		a.done <- f()
	}
}

// Flags are the CLONE_NEW* bits of the namespaces, which a Command that is started
// on the thread does not make.
func (a *Ahead) Flags() uint64 { return a.flags }

// Go has the thread do something in the namespaces, once.
func (a *Ahead) Go(f func() error) { a.work <- f }

// Wait returns the error of what Go was given, or why there are no namespaces to
// do it in.
func (a *Ahead) Wait() error { return <-a.done }

// Close lets the thread end.
func (a *Ahead) Close() { close(a.work) }
