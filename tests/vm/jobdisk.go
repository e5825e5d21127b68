package main

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// vmFolder is where a machine has its disk of jobs.
const vmFolder = "/run/berth-vm"

// spaceForResults is what a machine's jobs can write to the disk of jobs, in bytes. Blocks that are not written
// take no space here.
const spaceForResults = 256 << 20

// jobFolder is the job's name on the disk; jobs run in the order of these names.
func jobFolder(index int, j job) string { return fmt.Sprintf("%02d-%s", index, j.name) }

// testBinary is the name of a package's compiled tests on the disk.
func testBinary(pkg string) string { return strings.ReplaceAll(pkg, "/", "-") + ".test" }

// compile builds the jobs' tests, static, so that they run on whatever library the machine has, and finds the
// runtime under test.
func (h *harness) compile(ctx context.Context, selected []machine) error {
	if strings.Contains(h.runtime, "/") {
		if _, err := os.Stat(h.runtime); err != nil {
			return fmt.Errorf("the runtime under test (run make, or name another with -runtime): %w", err)
		}
	}
	built := map[string]bool{}
	build := func(folder, target string, args ...string) error {
		if built[folder] {
			return nil
		}
		built[folder] = true
		cmd := command(ctx, "go", append(args, "-trimpath", "-tags", "netgo osusergo", "-ldflags", "-s -w", "-o", target, ".")...)
		cmd.Dir, cmd.Env = folder, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go %s in %s: %w\n%s", strings.Join(args, " "), folder, err, out)
		}
		if _, err := os.Stat(target); err != nil {
			return fmt.Errorf("%s has no tests", folder)
		}
		return nil
	}
	for _, m := range selected {
		for _, j := range m.jobs {
			if err := build(j.pkg, filepath.Join(h.work, "bin", testBinary(j.pkg)), "test", "-c"); err != nil {
				return err
			}
			if j.program == "" {
				continue
			}
			if err := build(j.program, filepath.Join(h.work, "bin", filepath.Base(j.program)), "build"); err != nil {
				return err
			}
		}
	}
	return nil
}

// makeDisk makes the disk of jobs: the guest's scripts, the programs, the files that tests read, the jobs.
func (h *harness) makeDisk(ctx context.Context, m machine, disk string) error {
	tree, err := os.MkdirTemp(h.work, "disk-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tree)
	if err := os.Chmod(tree, 0o755); err != nil {
		return err
	}
	guest := os.DirFS("tests/vm/guest")
	if err := os.CopyFS(filepath.Join(tree, "guest"), guest); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(tree, "results"), 0o755); err != nil {
		return err
	}
	if err := copyTestData("tests", filepath.Join(tree, "src/tests")); err != nil {
		return err
	}
	for i, j := range m.jobs {
		binary := testBinary(j.pkg)
		if err := copyFile(filepath.Join(h.work, "bin", binary), filepath.Join(tree, "bin", binary)); err != nil {
			return err
		}
		if j.program != "" {
			name := filepath.Base(j.program)
			if err := copyFile(filepath.Join(h.work, "bin", name), filepath.Join(tree, "src/build", name)); err != nil {
				return err
			}
		}
		for _, name := range j.files {
			if err := copyFile(name, filepath.Join(tree, "src", name)); err != nil {
				return err
			}
		}
		// A test runs in its package's folder, as go test has it.
		if err := os.MkdirAll(filepath.Join(tree, "src", j.pkg), 0o755); err != nil {
			return err
		}
		if err := h.writeJob(filepath.Join(tree, "jobs", jobFolder(i, j)), m, j); err != nil {
			return err
		}
	}
	if strings.Contains(h.runtime, "/") {
		if err := copyFile(h.runtime, filepath.Join(tree, "bin", filepath.Base(h.runtime))); err != nil {
			return err
		}
	}
	size, err := sizeOf(tree)
	if err != nil {
		return err
	}
	// No journal: what a hung machine wrote last is in its place. debugfs would not replay one.
	mke2fs := command(ctx, "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-d", tree, disk,
		fmt.Sprintf("%dK", (size+size/4+spaceForResults)>>10))
	if out, err := mke2fs.CombinedOutput(); err != nil {
		return fmt.Errorf("mke2fs: %w\n%s", err, out)
	}
	return nil
}

// writeJob writes what guest/jobs reads of a job.
func (h *harness) writeJob(folder string, m machine, j job) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	runtimePath := h.runtime
	if strings.Contains(runtimePath, "/") {
		runtimePath = vmFolder + "/bin/" + filepath.Base(h.runtime)
	}
	var script strings.Builder
	fmt.Fprintf(&script, "#!/bin/sh\n")
	env := append([]string{"OCI_RUNTIME=" + runtimePath, "BERTH_VM=" + m.name, "BERTH_TEST_ALONE=1"}, j.env...)
	for _, assignment := range env {
		name, value, _ := strings.Cut(assignment, "=")
		fmt.Fprintf(&script, "export %s=%s\n", name, quote(value))
	}
	fmt.Fprintf(&script, "cd %s || exit\n", quote(vmFolder+"/src/"+j.pkg))
	fmt.Fprintf(&script, "exec %s -test.v=test2json -test.short -test.timeout=%s", vmFolder+"/bin/"+testBinary(j.pkg), testTimeout(j.deadline))
	pattern := j.run
	if h.testRun != "" {
		pattern = h.testRun
	}
	if pattern != "" {
		fmt.Fprintf(&script, " -test.run=%s", quote(pattern))
	}
	fmt.Fprintln(&script)
	files := map[string]string{
		"command":  script.String(),
		"account":  j.account + "\n",
		"deadline": fmt.Sprintf("%d\n", int(j.deadline.Seconds())),
		"before":   j.before,
		"after":    j.after,
	}
	for name, text := range files {
		if text == "" {
			continue
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o755); err != nil {
			return err
		}
	}
	return nil
}

// testTimeout leaves a tenth of the deadline for Go to print where its goroutines are.
func testTimeout(deadline time.Duration) time.Duration { return deadline - deadline/10 }

// quote makes a word of a shell's.
func quote(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

// copyTestData copies what tests may read beside their own program: all files under a folder but Go's and the
// machines' own.
func copyTestData(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if path == filepath.Join(from, "vm") {
				return fs.SkipDir
			}
			return os.MkdirAll(filepath.Join(to, relative), 0o755)
		}
		if !entry.Type().IsRegular() || strings.HasSuffix(path, ".go") {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, relative), text, info.Mode().Perm()|0o444)
	})
}

// copyFile copies a program, or what anyone may read and nobody minds to find executable.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o755)
}

// sizeOf adds up the files under a folder, in bytes.
func sizeOf(folder string) (int64, error) {
	var total int64
	err := filepath.WalkDir(folder, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// readResults fetches the folder results from a disk of jobs. It is called, too, for a machine that was ended in
// the middle of something: -c makes debugfs trust no bitmap. The folder must not be there.
func readResults(disk, folder string) error {
	disk, err := filepath.Abs(disk)
	if err != nil {
		return err
	}
	cmd := exec.Command("debugfs", "-c", "-R", "rdump /results .", disk)
	cmd.Dir = filepath.Dir(folder)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("debugfs: %w\n%s", err, out)
	}
	// debugfs exits with 0 whatever happened.
	if _, err := os.Stat(folder); err != nil {
		return fmt.Errorf("debugfs: no results on the disk of jobs: %w\n%s", err, out)
	}
	return nil
}
