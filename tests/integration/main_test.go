// Package integration drives an OCI runtime as its users do: by its command line, on bundles in the file system.
//
// The runtime is bin/berth, or the program that OCI_RUNTIME names: the tests are meant to pass with Debian's runc
// too, save those that call a command that only berth has, or a feature that the reference is too old for (see
// berthOnly and newerThanReference). They need root; those of rootless containers run as any other user, too.
//
// The test process first moves into a mount namespace of its own, so that whatever a runtime under test leaves
// mounted never reaches the host; there everything is shared, as on a host that systemd has set up, so that a mount
// which escapes a container is seen. With BERTH_TEST_CGROUPS=v1 or v2 that namespace shows just the one kind of
// cgroup hierarchy. The process is also a subreaper: any process that a runtime leaves behind ends up as its child,
// where the leak check finds it (see leaks_test.go).
//
// With BERTH_TEST_CGROUP_DRIVER=systemd the runtime is asked for --systemd-cgroup, where systemd is.
//
// With BERTH_TEST_ALONE=1, or CI set, the tests take the machine to be theirs and compare the whole host before and
// after; otherwise they look at what bears their name, so that other work on the machine does not disturb them.
package integration

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// host is what the tests found out once about the machine and the runtime; read only after TestMain.
var host struct {
	runtime string // absolute path of the runtime under test
	name    string // its name as its --version says: berth, runc, crun
	version string
	skipAll string // why no test can run; empty when they can
	scratch string // folder that holds all files of the run
	token   string // part of every name that the tests give, so that what is theirs can be told
	alone   bool   // nothing else runs on this machine
	cgroups layout
	// systemd: containers are made with --systemd-cgroup, but for those of an ordinary user in root's run, who has no
	// systemd manager
	systemd bool
}

// inOwnNamespace marks the second start of the test process; its value is the folder for the run's files, whose name
// is the run's token.
const inOwnNamespace = "BERTH_TEST_IN_NAMESPACE"

func TestMain(m *testing.M) {
	if list := os.Getenv(exchanging); list != "" {
		exchangeForEver(list)
	}
	if device := os.Getenv(usingRDMA); device != "" {
		useRDMA(device)
		os.Exit(0)
	}
	if os.Geteuid() != 0 {
		code, err := runAsUser(m)
		if err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
		}
		os.Exit(code)
	}
	host.scratch = os.Getenv(inOwnNamespace)
	if host.scratch == "" {
		code, err := againInOwnNamespace()
		if err != nil {
			fmt.Fprintln(os.Stderr, "integration:", err)
		}
		os.Exit(code)
	}
	os.Unsetenv(inOwnNamespace)
	host.token = filepath.Base(host.scratch)
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "integration:", err)
	}
	os.Exit(code)
}

// againInOwnNamespace runs this program once more in a new mount namespace and returns its exit code. However that
// ends, also killed for its time, this process clears the host of what it left.
func againInOwnNamespace() (code int, err error) {
	runtime.LockOSThread() // whose end would be taken for the parent's by Pdeathsig
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become a subreaper: %w", err)
	}
	if host.cgroups, err = detectLayout(); err != nil {
		return 1, err
	}
	if host.scratch, err = os.MkdirTemp("", "berth-test-"); err != nil {
		return 1, err
	}
	host.token = filepath.Base(host.scratch)
	defer os.RemoveAll(host.scratch) // what was mounted below is not in this namespace
	defer sweep()
	// An unprivileged process in a container must be able to pass through to the rootfs.
	if err := os.Chmod(host.scratch, 0o755); err != nil {
		return 1, err
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), inOwnNamespace+"="+host.scratch)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 1, fmt.Errorf("start in a mount namespace of its own: %w", err)
	}
	go func() {
		<-interrupts
		_ = cmd.Process.Kill() // it may have ended by itself
	}()
	if err := cmd.Wait(); err != nil && cmd.ProcessState == nil {
		return 1, err
	}
	if code = cmd.ProcessState.ExitCode(); code < 0 {
		return 1, fmt.Errorf("the tests ended by %v", cmd.ProcessState)
	}
	return code, nil
}

// runTests prepares the namespace, runs all tests and looks for what they left on the host.
func runTests(m *testing.M) (code int, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return 1, fmt.Errorf("make / shared: %w", err)
	}
	if err := showCgroups(os.Getenv("BERTH_TEST_CGROUPS")); err != nil {
		return 1, err
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 1, fmt.Errorf("become a subreaper: %w", err)
	}
	if host.cgroups, err = detectLayout(); err != nil {
		return 1, err
	}
	if host.systemd, err = systemdAsked(); err != nil {
		return 1, err
	}
	host.alone = os.Getenv("CI") != "" || os.Getenv("BERTH_TEST_ALONE") != ""
	if err := findRuntime(); err != nil {
		return 1, err
	}
	if err := prepareOrdinary(); err != nil {
		return 1, fmt.Errorf("make an ordinary user: %w", err)
	}
	stop := startReaper()
	defer stop()

	before := takeSnapshot()
	code = m.Run()
	if left := before.newSince(); len(left) > 0 {
		return 1, fmt.Errorf("the whole run left on the host:\n%s", strings.Join(left, "\n"))
	}
	return code, nil
}

// systemdAsked reads which cgroup driver the runtime is to use.
func systemdAsked() (bool, error) {
	switch driver := os.Getenv("BERTH_TEST_CGROUP_DRIVER"); driver {
	case "", "cgroupfs":
		return false, nil
	case "systemd":
		return true, nil
	default:
		return false, fmt.Errorf("BERTH_TEST_CGROUP_DRIVER=%s: want systemd, cgroupfs or nothing", driver)
	}
}

// findRuntime sets the runtime under test, its name and version.
func findRuntime() error {
	path := os.Getenv("OCI_RUNTIME")
	if path == "" {
		path = "../../bin/berth"
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return fmt.Errorf("the runtime under test (run make, or set OCI_RUNTIME to one): %w", err)
	}
	if host.runtime, err = filepath.Abs(path); err != nil {
		return err
	}
	out, err := exec.Command(host.runtime, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", host.runtime, err)
	}
	first, _, _ := strings.Cut(string(out), "\n")
	name, version, ok := strings.Cut(first, " version ")
	if !ok {
		return fmt.Errorf("%s --version begins with %q, not with NAME version X", host.runtime, first)
	}
	host.name, host.version = name, version
	return nil
}

// needsRoot skips the test where the suite cannot run. Every test begins with it, most through newContainer.
func needsRoot(t *testing.T) {
	t.Helper()
	if host.skipAll != "" {
		t.Skip(host.skipAll)
	}
}

// isBerth tells whether berth's own words may be expected, of an error for one.
func isBerth() bool { return host.name == "berth" }

// berthOnly skips the test under another runtime: what says which command or promise is berth's alone.
func berthOnly(t *testing.T, what string) {
	t.Helper()
	needsRoot(t)
	if !isBerth() {
		t.Skipf("berth only: %s", what)
	}
}

// newerThanReference skips the test under a runtime other than berth that lacks the feature: Debian 12's runc
// (1.1.5) and crun (1.8.1) are older than runtime-spec 1.1. what says what they lack.
func newerThanReference(t *testing.T, what string) {
	t.Helper()
	needsRoot(t)
	if !isBerth() {
		t.Skipf("%s %s lacks it: %s", host.name, host.version, what)
	}
}
