package nsenter

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"berth/memfd"
)

// bin holds the executor that `make` builds, beside a placeholder that lets
// `go vet` work before the first build.
//
//go:embed bin
var bin embed.FS

// executable returns a sealed memfd with the executor in it: nobody can change
// it, not even root in the container that finds it under /proc/PID/exe
// (CVE-2019-5736).
func executable() (int, error) {
	program, err := bin.Open("bin/executor")
	if errors.Is(err, fs.ErrNotExist) {
		return -1, errors.New("this berth was built without its executor: build it with make")
	}
	if err != nil {
		return -1, fmt.Errorf("read the executor: %w", err)
	}
	defer program.Close()
	return memfd.Program("berth-executor", func(fd int) error { return copyTo(fd, program) })
}

// chunkSize is how much is copied at a time: memory that is new to the process costs as much as the copying.
const chunkSize = 8 << 10

func copyTo(fd int, r io.Reader) error {
	chunk := make([]byte, chunkSize)
	for {
		n, err := r.Read(chunk)
		if writeErr := memfd.Write(fd, chunk[:n]); writeErr != nil {
			return writeErr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
}
