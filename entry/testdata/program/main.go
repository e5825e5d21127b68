// Command program prints what a Go program sees that begins at entry.
package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"berth/entry"
)

// seen is what the test reads.
type seen struct {
	Args, Env   []string
	GOMAXPROCS  int
	BuckHashSys uint64 // bytes of the profile's table of samples
	PageSize    int
	// pages that are mapped, before the program did anything of its own
	Code, CodeMapped int
	HeapRun          int // most in a row
	// what the descriptors lead to that are open, before the program opened any
	Open []string
	// the soft and the hard RLIMIT_NOFILE that a child has
	Files string
	// the timer slack, in nanoseconds: of the first thread, of the other ones, of a child
	Slack, Child string
	Threads      []string
}

// The first thread is the one that main runs on.
func init() { runtime.LockOSThread() }

func main() {
	s := seen{
		Args: os.Args, Env: os.Environ(), PageSize: os.Getpagesize(),
		GOMAXPROCS: runtime.GOMAXPROCS(0),
	}
	err := s.files()
	if err == nil {
		err = s.slack()
	}
	if err == nil {
		err = s.pages()
	}
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	s.BuckHashSys = memory.BuckHashSys
	if len(os.Args) > 1<<20 { // never: it makes the program larger than what it touches
		_, err = http.Get(os.Args[1])
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(s)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// files looks at descriptors and at how many there may be.
func (s *seen) files() error {
	for fd := range 16 {
		if name, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd)); err == nil {
			s.Open = append(s.Open, name)
		}
	}
	limits, err := exec.Command("/bin/sh", "-c", "ulimit -Sn; ulimit -Hn").Output()
	s.Files = string(limits)
	return err
}

// slack looks at the timer slack of the threads, and of a child that another thread forks.
func (s *seen) slack() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, thread := range threads {
		ns, err := os.ReadFile("/proc/" + thread.Name() + "/timerslack_ns")
		if err != nil {
			return err
		}
		if thread.Name() == strconv.Itoa(os.Getpid()) {
			s.Slack = string(ns)
		} else {
			s.Threads = append(s.Threads, string(ns))
		}
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		// As on a thread that Go's monitor started.
		for _, ns := range s.Threads {
			n, err := strconv.Atoi(strings.TrimSpace(ns))
			if err == nil && n >= 5_000_000 {
				if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerSlack, uintptr(n), 0); errno != 0 {
					done <- errno
					return
				}
			}
		}
		entry.RestoreTimerSlack()
		ns, err := exec.Command("/bin/cat", "/proc/self/timerslack_ns").Output()
		s.Child = string(ns)
		done <- err
	}()
	return <-done
}

const prSetTimerSlack = 29 // PR_SET_TIMERSLACK of linux/prctl.h

// pages counts the pages of the code and of the heap that are mapped.
func (s *seen) pages() error {
	object := new([64]int)
	here := uint64(uintptr(unsafe.Pointer(object)))
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return err
	}
	defer maps.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var start, end uint64
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &start, &end, &rights); err != nil {
			return err
		}
		code := rights == "r-xp" && strings.HasSuffix(lines.Text(), os.Args[0])
		if !code && (here < start || here >= end) {
			continue
		}
		mapped, err := mapped(start, end)
		if err != nil {
			return err
		}
		run := 0
		for _, is := range mapped {
			if !is {
				run = 0
				continue
			}
			run++
			if code {
				s.CodeMapped++
			} else {
				s.HeapRun = max(s.HeapRun, run)
			}
		}
		if code {
			s.Code = len(mapped)
		}
	}
	return nil
}

// mapped says of each page from start to end whether it is there (proc_pid_pagemap(5)).
func mapped(start, end uint64) ([]bool, error) {
	pagemap, err := os.Open("/proc/self/pagemap")
	if err != nil {
		return nil, err
	}
	defer pagemap.Close()
	size := uint64(os.Getpagesize())
	entries := make([]byte, (end-start)/size*8)
	if _, err := pagemap.ReadAt(entries, int64(start/size*8)); err != nil {
		return nil, err
	}
	there := make([]bool, len(entries)/8)
	for i := range there {
		there[i] = binary.NativeEndian.Uint64(entries[8*i:])>>63 == 1
	}
	return there, nil
}
