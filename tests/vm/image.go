package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Space on the cache's file system that must be free, in bytes: a Debian tree and its disk while an image is made;
// what a machine writes while it runs.
const (
	spaceToBuild = 2 << 30
	spaceToRun   = 1 << 30
)

// unusedFor is how long what has an older content is kept.
const unusedFor = 24 * time.Hour

// command is exec.CommandContext for a program that starts others: when the context ends, the whole process group
// gets SIGTERM, and what is left of it after a while SIGKILL. It has no standard input.
func command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	return cmd
}

// ensureImage returns the folder of an image (root.img, vmlinuz, initrd), which it makes when the cache does not
// hold one of this content.
func (h *harness) ensureImage(ctx context.Context, i image) (string, error) {
	h.images[i.suite].Lock()
	defer h.images[i.suite].Unlock()
	key, err := i.key("tests/vm")
	if err != nil {
		return "", err
	}
	return h.cached(ctx, i.suite, key, append([]string{"tests/vm/image", i.suite}, i.lists...)...)
}

// ensureEmulator returns the program that runs the machines, which it fetches when the cache does not hold it.
func (h *harness) ensureEmulator(ctx context.Context) (string, error) {
	key, err := digest("", "tests/vm", "emulator", "mirror")
	if err != nil {
		return "", err
	}
	folder, err := h.cached(ctx, "emulator", key, "tests/vm/emulator")
	return filepath.Join(folder, "qemu"), err
}

// cached returns the folder in the cache with what a script makes from Debian's packages, and lets it do so when the
// cache has none with this key. The folder is the script's first argument.
func (h *harness) cached(ctx context.Context, name, key string, script ...string) (string, error) {
	if err := os.MkdirAll(h.cache, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(ctx, filepath.Join(h.cache, name+".lock"))
	if err != nil {
		return "", err
	}
	defer unlock()

	folder := filepath.Join(h.cache, name+"-"+key)
	if _, err := os.Stat(folder); err == nil {
		now := time.Now()
		return folder, os.Chtimes(folder, now, now)
	}
	if err := enoughSpace(h.cache, spaceToBuild); err != nil {
		return "", err
	}
	build, err := os.MkdirTemp(h.cache, "building-"+name+"-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(build)
	h.say("making %s for the cache (about a minute, once)", name)
	err = h.phase("make "+name, func() error {
		cmd := command(ctx, script[0], append([]string{build}, script[1:]...)...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(script, " "), err, lastLines(string(out), 40))
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if err := os.Rename(build, folder); err != nil {
		return "", err
	}
	return folder, removeUnused(h.cache, name, folder)
}

// key is a digest of all that the image is made from, save the packages' versions: those are what the mirror had
// when it was made.
func (i image) key(source string) (string, error) {
	files := []string{"image", "mirror", "guest/init"}
	for _, list := range i.lists {
		files = append(files, "packages/"+list)
		if list == "module" {
			files = append(files, "module/Kbuild", "module/misc_keys.c")
		}
	}
	return digest(i.suite, source, files...)
}

// digest is that of a name and of files in a folder.
func digest(name, source string, files ...string) (string, error) {
	sum := sha256.New()
	fmt.Fprintln(sum, name)
	for _, name := range files {
		text, err := os.ReadFile(filepath.Join(source, name))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(sum, "%s %d\n%s", name, len(text), text)
	}
	return fmt.Sprintf("%x", sum.Sum(nil)[:8]), nil
}

// removeUnused removes what was cached under the name other than keep and that nobody has used of late, and what a
// build that was killed left behind.
func removeUnused(cache, name, keep string) error {
	for _, pattern := range []string{name + "-*", "building-" + name + "-*"} {
		found, err := filepath.Glob(filepath.Join(cache, pattern))
		if err != nil {
			return err
		}
		for _, folder := range found {
			info, err := os.Stat(folder)
			if err != nil || folder == keep || time.Since(info.ModTime()) < unusedFor {
				continue
			}
			if err := os.RemoveAll(folder); err != nil {
				return err
			}
		}
	}
	return nil
}

// lockFile waits for an exclusive lock, which other runs of this command may hold while they make an image.
func lockFile(ctx context.Context, name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if err != unix.EWOULDBLOCK {
			f.Close()
			return nil, fmt.Errorf("lock %s: %w", name, err)
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("lock %s, which another run holds: %w", name, ctx.Err())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// enoughSpace fails unless the folder's file system has that many bytes free.
func enoughSpace(folder string, bytes uint64) error {
	var fs unix.Statfs_t
	if err := unix.Statfs(folder, &fs); err != nil {
		return fmt.Errorf("statfs %s: %w", folder, err)
	}
	if free := fs.Bavail * uint64(fs.Bsize); free < bytes {
		return fmt.Errorf("%s has %d MiB free, %d MiB are needed: make room, or name another folder with -cache or TMPDIR",
			folder, free>>20, bytes>>20)
	}
	return nil
}

// lastLines returns the end of a text.
func lastLines(text string, count int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(len(lines)-count, 0):], "\n")
}
