package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode"
)

// bootAllowance is the time that a machine may spend on everything but its jobs, jobAllowance what one job may
// spend beside its deadline (the user manager's start, the diagnosis of a hang). Emulation is slow, and another
// machine may be running.
const (
	bootAllowance = 4 * time.Minute
	jobAllowance  = 90 * time.Second
)

// booted is what is left of a machine that has run.
type booted struct {
	folder  string // holds all that follows; the caller removes it
	serial  string // file: what the machine wrote to its console
	results string // folder: what its jobs wrote
}

// boot runs a machine until it turns itself off, or its deadline ends it, and fetches what its jobs wrote.
func (h *harness) boot(ctx context.Context, m machine) (booted, error) {
	var b booted
	imageFolder, err := h.ensureImage(ctx, m.image)
	if err != nil {
		return b, err
	}
	if err := enoughSpace(h.work, spaceToRun); err != nil {
		return b, err
	}
	if b.folder, err = os.MkdirTemp(h.work, m.name+"-"); err != nil {
		return b, err
	}
	b.serial, b.results = filepath.Join(b.folder, "serial"), filepath.Join(b.folder, "results")
	disk := filepath.Join(b.folder, "jobs.img")
	if err := h.makeDisk(ctx, m, disk); err != nil {
		return b, err
	}
	allowed := bootAllowance
	for _, j := range m.jobs {
		allowed += j.deadline + jobAllowance
	}
	allowed += bootAllowance * time.Duration(h.patience-1)
	err = h.watch(ctx, m, imageFolder, disk, b, allowed)
	if readErr := readResults(disk, b.results); readErr != nil {
		return b, errors.Join(err, readErr)
	}
	if _, statErr := os.Stat(filepath.Join(b.results, "end")); statErr != nil && err == nil {
		err = fmt.Errorf("the machine turned itself off before its last job ended; its last lines:\n%s", b.lastSerial())
	}
	return b, err
}

// watch runs QEMU, passes on the progress that the machine tells, and ends it at its deadline.
func (h *harness) watch(ctx context.Context, m machine, image, disk string, b booted, allowed time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, allowed)
	defer cancel()
	log, err := os.Create(b.serial)
	if err != nil {
		return err
	}
	defer log.Close()
	reader, writer := io.Pipe()
	told := make(chan struct{})
	go func() {
		defer close(told)
		lines := bufio.NewScanner(reader)
		for lines.Scan() {
			if _, text, ok := strings.Cut(lines.Text(), "berth-vm: "); ok {
				h.say("%s: %s", m.name, printable(text))
			}
		}
		io.Copy(io.Discard, reader) // a line beyond the scanner's limit must not stop the machine
	}()

	var complaints strings.Builder
	cmd := command(ctx, h.emulator, qemuArgs(m, image, disk, h.memory, false)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+b.folder) // what the machine writes to its root disk
	cmd.Stdout, cmd.Stderr = io.MultiWriter(log, writer), &complaints
	cmd.WaitDelay = 5 * time.Second
	h.say("%s: booting", m.name)
	began := time.Now()
	err = cmd.Run()
	writer.Close()
	<-told
	ran := phase{name: "run " + m.name, took: time.Since(began)}
	if cmd.ProcessState != nil {
		ran.processor = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	h.note(ran)
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("the machine was ended after its deadline (%s) or an interrupt: %w; its last lines:\n%s",
			allowed, ctx.Err(), b.lastSerial())
	case err != nil || complaints.Len() > 0:
		// QEMU ended by a signal exits with 0, and says so.
		return fmt.Errorf("qemu-system-x86_64: %v\n%s%s", cmd.ProcessState, complaints.String(), b.lastSerial())
	}
	return nil
}

// cpu is the processor that is emulated: all that QEMU can, less what defends against others on it, a fifth level of
// page tables, virtualization, whose modules each boot would load, and AVX and fast string instructions, which emulation
// takes apart again (how much that spares beside QEMU 10 was less than the noise).
const cpu = "max,la57=off,smap=off,pku=off,pks=off,erms=off,fsrm=off,avx=off,avx2=off,xsave=off,svm=off"

// qemuArgs is QEMU's command line. The root disk takes no writes: they go to a file that QEMU removes as soon as
// it has opened it.
func qemuArgs(m machine, image, disk string, memory int, interactive bool) []string {
	// tsc=reliable: the kernel takes emulation's jitter for a broken clock, and the one that it falls back to costs
	// a system call at each look.
	//
	// mitigations=off, init_on_alloc=0: what defends against others on the processor is much of an emulated kernel's
	// work.
	cmdline := "root=/dev/vda rw console=ttyS0 quiet panic=-1 tsc=reliable hugepages=8 systemd.getty_auto=no " +
		"mitigations=off init_on_alloc=0 nowatchdog " +
		"systemd.show_status=auto systemd.default_timeout_start_sec=60s " + m.cmdline
	serial := "stdio,id=serial,signal=off"
	if interactive {
		cmdline += " berth.shell"
		serial = "stdio,id=serial,signal=off,mux=on"
	}
	// thread=single: both CPUs on one thread. With a thread each the same work takes half as much processor time again,
	// and far longer once this machine is busy, since one CPU then spins until the other one's thread is let run; two
	// machines at once make up for it.
	args := []string{
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-machine", "q35", "-accel", "tcg,thread=single", "-cpu", cpu, "-smp", "2", "-m", fmt.Sprint(memory),
		"-kernel", filepath.Join(image, "vmlinuz"), "-initrd", filepath.Join(image, "initrd"), "-append", cmdline,
		"-drive", "if=none,id=root,format=raw,snapshot=on,cache=unsafe,file=" + filepath.Join(image, "root.img"),
		"-device", "virtio-blk-pci,drive=root",
		"-drive", "if=none,id=jobs,format=raw,cache=unsafe,file=" + disk,
		"-device", "virtio-blk-pci,drive=jobs",
		"-chardev", serial, "-serial", "chardev:serial",
	}
	if interactive {
		args = append(args, "-mon", "chardev=serial")
	}
	if m.numa {
		first := memory / 2
		args = append(args,
			"-object", fmt.Sprintf("memory-backend-ram,id=first,size=%dM", first),
			"-object", fmt.Sprintf("memory-backend-ram,id=second,size=%dM", memory-first),
			"-numa", "node,nodeid=0,cpus=0,memdev=first", "-numa", "node,nodeid=1,cpus=1,memdev=second")
	}
	return args
}

// shell boots a machine with a root shell on this terminal.
func (h *harness) shell(ctx context.Context, m machine) error {
	imageFolder, err := h.ensureImage(ctx, m.image)
	if err != nil {
		return err
	}
	disk := filepath.Join(h.work, "jobs.img")
	if err := h.makeDisk(ctx, m, disk); err != nil {
		return err
	}
	h.say("%s: booting; leave the shell to turn it off, C-a x ends it at once", m.name)
	cmd := exec.CommandContext(ctx, h.emulator, qemuArgs(m, imageFolder, disk, h.memory, true)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+h.work)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	cmd.WaitDelay = 5 * time.Second
	return cmd.Run()
}

// lastSerial is the end of the console's log, without what would move a terminal's cursor.
func (b booted) lastSerial() string {
	text, err := os.ReadFile(b.serial)
	if err != nil {
		return err.Error()
	}
	return lastLines(printable(string(text)), 40)
}

// printable drops control characters other than the line feed.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' {
			return -1
		}
		return r
	}, text)
}

// keep moves the console's log and the jobs' outputs to a folder that outlives the run.
func (b booted) keep(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, from := range []string{b.serial, b.results} {
		if _, err := os.Stat(from); err != nil {
			continue // the machine did not get that far
		}
		// Not a rename: the temporary folder may be on another file system.
		to := filepath.Join(folder, filepath.Base(from))
		if out, err := exec.Command("cp", "-r", from, to).CombinedOutput(); err != nil {
			return fmt.Errorf("cp -r %s %s: %w\n%s", from, to, err, out)
		}
	}
	return nil
}
