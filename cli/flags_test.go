package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/urfave/cli/v3"
)

// commandFlags is the command line that users of runc and crun know, with what berth has beside. A name of one letter
// stands for the flag before it.
var commandFlags = map[string]string{
	"":       "debug log log-format log-level root systemd-cgroup cgroup-manager rootless trace version v",
	"create": "bundle b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds config f",
	"run": "bundle b console-socket pidfd-socket pid-file no-pivot no-new-keyring preserve-fds config f " +
		"detach d keep no-subreaper",
	"exec": "console-socket pidfd-socket cwd env e tty t user u additional-gids g process p detach d pid-file " +
		"process-label apparmor no-new-privs cap c preserve-fds cgroup ignore-paused no-subreaper",
	"start": "", "state": "", "pause": "", "resume": "", "features": "",
	"delete": "force f regex r",
	"kill":   "all a regex r",
	"list":   "format f quiet q",
	"ps":     "format f",
	"events": "interval stats",
	"spec":   "bundle b rootless",
	"update": "resources r blkio-weight cpu-period cpu-quota cpu-burst cpu-share cpu-rt-period cpu-rt-runtime cpu-idle " +
		"cpuset-cpus cpuset-mems memory memory-reservation memory-swap pids-limit l3-cache-schema mem-bw-schema " +
		"kernel-memory kernel-memory-tcp",
	"checkpoint": "image-path work-path parent-path leave-running tcp-established tcp-skip-in-flight link-remap ext-unix-sk " +
		"shell-job lazy-pages status-fd page-server file-locks pre-dump manage-cgroups-mode empty-ns auto-dedup network-lock",
	"restore": "console-socket image-path work-path tcp-established tcp-close ext-unix-sk shell-job file-locks " +
		"manage-cgroups-mode bundle b detach d pid-file no-subreaper no-pivot empty-ns auto-dedup lazy-pages " +
		"lsm-profile lsm-mount-context",
	"mounts": "", "completion": "", "version": "", "wait": "", "prune": "",
	"info":     "format f",
	"plan":     "bundle b config f format no-pivot no-new-keyring",
	"validate": "bundle b config f",
}

// Every command and flag of the list is there, and no other.
func TestCommandLine(t *testing.T) {
	root := (&app{}).command(nil)
	seen := []string{}
	for _, c := range append(slices.Clone(root.Commands), root) {
		name := c.Name
		switch name {
		case "berth":
			name = ""
		case "help":
			continue // the library's own
		}
		seen = append(seen, name)
		wanted, known := commandFlags[name]
		if !known {
			t.Errorf("%s is not in the list", name)
			continue
		}
		checkFlags(t, name, c.Flags, strings.Fields(wanted))
	}
	for name := range commandFlags {
		if !slices.Contains(seen, name) {
			t.Errorf("there is no command %s", name)
		}
	}
}

func checkFlags(t *testing.T, command string, flags []cli.Flag, wanted []string) {
	t.Helper()
	var have []string
	for _, f := range flags {
		names := f.Names()
		if names[0] == "help" {
			continue
		}
		have = append(have, names[0])
		if len(names) > 1 {
			have = append(have, names[1:]...)
			if i := slices.Index(wanted, names[0]); i >= 0 && (i+1 >= len(wanted) || wanted[i+1] != names[1]) {
				t.Errorf("%s: --%s is -%s too, which the list does not have", command, names[0], names[1])
			}
		}
	}
	for _, w := range wanted {
		if !slices.Contains(have, w) {
			t.Errorf("%s has no flag %s", command, w)
		}
	}
	for _, h := range have {
		if !slices.Contains(wanted, h) {
			t.Errorf("%s has a flag %s that is not in the list", command, h)
		}
	}
}

// What the commands ask for by name is a flag of some command, of the kind that is asked for: value cannot tell a slip
// from a flag that only other commands have.
func TestValues(t *testing.T) {
	root := (&app{}).command(nil)
	kinds := map[string]map[string]bool{}
	for _, c := range append(slices.Clone(root.Commands), root) {
		for _, f := range c.Flags {
			name, _ := namesOf(f)
			if kinds[name] == nil {
				kinds[name] = map[string]bool{}
			}
			kinds[name][fmt.Sprintf("%T", f.(interface{ Get() any }).Get())] = true
		}
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`\b(?:value\[([^(]+)\]|isSet)\(c, "([^"]+)"\)`)
	found := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range asked.FindAllStringSubmatch(string(text), -1) {
			found++
			kind, flag := m[1], m[2]
			switch {
			case kinds[flag] == nil:
				t.Errorf("%s asks for --%s, which no command has", file, flag)
			case kind != "" && !kinds[flag][kind]:
				t.Errorf("%s asks for --%s as %s, commands have it as %v", file, flag, kind, kinds[flag])
			}
		}
	}
	if found < 70 {
		t.Errorf("%d places found that ask for a flag", found)
	}
}
