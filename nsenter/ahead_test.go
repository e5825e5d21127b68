package nsenter

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// threadsElsewhere lists the threads of this process whose UTS namespace is
// another one than its caller's.
func threadsElsewhere(t *testing.T, own string) (found []string) {
	t.Helper()
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		link, err := os.Readlink(thread + "/ns/uts")
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ESRCH) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		if link != own {
			found = append(found, thread)
		}
	}
	return found
}

// What is done ahead is done in new namespaces by a thread that is not the
// process's first, and which ends; so does one that nobody needed. Without
// the power to make them, who needs them is told.
func TestAhead(t *testing.T) {
	own, err := os.Readlink("/proc/self/ns/uts")
	if err != nil {
		t.Fatal(err)
	}
	var made atomic.Int32
	for n := range 40 {
		a := MakeAhead(unix.CLONE_NEWUTS, func() { made.Add(1) })
		if n%4 == 3 {
			a.Close()
			continue
		}
		link, thread := "", 0
		a.Go(func() (err error) {
			thread = unix.Gettid()
			link, err = os.Readlink("/proc/thread-self/ns/uts")
			return err
		})
		err := a.Wait()
		a.Close()
		if os.Geteuid() != 0 {
			if !errors.Is(err, unix.EPERM) || !strings.Contains(err.Error(), "new namespaces need root") {
				t.Errorf("without root: %v", err)
			}
			continue
		}
		if err != nil || link == own || thread == os.Getpid() {
			t.Errorf("thread %d of process %d is in %s, as all are (%v)", thread, os.Getpid(), link, err)
		}
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		left := threadsElsewhere(t, own)
		if len(left) == 0 && made.Load() == 40 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("threads are left: %q, of 40 %d have told that they have made what they were to", left, made.Load())
		}
	}
}
