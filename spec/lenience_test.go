package spec

import (
	"encoding/json"
	"testing"
)

// Odd configs that runc 1.1.5 and crun 1.8.1, both of Debian 12, were seen to
// run. They may be warned of; refusing one would break somebody's container.
func TestCheckRefusesNothingThatRuncRuns(t *testing.T) {
	configs := map[string]string{
		"version without patch":             `{"ociVersion": "1.0"}`,
		"linux and windows":                 `{"windows": {"layerFolders": []}}`,
		"unknown capability":                `{"process": {"capabilities": {"bounding": ["CAP_FOO", "cap_kill"]}}}`,
		"ambient alone":                     `{"process": {"capabilities": {"ambient": ["CAP_SYS_ADMIN"]}}}`,
		"umask beyond 777":                  `{"process": {"user": {"umask": 1023}}}`,
		"console without terminal":          `{"process": {"terminal": false, "consoleSize": {"height": 70000, "width": 0}}}`,
		"relative destination":              `{"mounts": [{"destination": "tmp", "type": "tmpfs", "source": "tmpfs"}]}`,
		"relative bind source":              `{"mounts": [{"destination": "/tmp", "type": "bind", "source": "rootfs", "options": ["bind"]}]}`,
		"remount without type":              `{"mounts": [{"destination": "/dev", "options": ["remount", "ro"]}]}`,
		"remount with type":                 `{"mounts": [{"destination": "/dev", "type": "tmpfs", "options": ["remount", "ro"]}]}`,
		"empty option":                      `{"mounts": [{"destination": "/tmp", "type": "tmpfs", "options": [""]}]}`,
		"tmpfs without source":              `{"mounts": [{"destination": "/tmp", "type": "tmpfs"}]}`,
		"sysctl with slashes":               `{"linux": {"sysctl": {"net/ipv4/ip_forward": "1"}}}`,
		"sysctl domainname":                 `{"linux": {"sysctl": {"kernel.domainname": "x"}}}`,
		"relative masked path":              `{"linux": {"maskedPaths": ["proc/kcore"], "readonlyPaths": ["proc/sys"]}}`,
		"relative device":                   `{"linux": {"devices": [{"path": "dev/x", "type": "c", "major": 1, "minor": 3}]}}`,
		"device twice":                      `{"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}, {"path": "/dev/x", "type": "c", "major": 1, "minor": 3}]}}`,
		"device of two names":               `{"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}, {"path": "/dev/y", "type": "c", "major": 1, "minor": 3}]}}`,
		"another device as a default one":   `{"linux": {"devices": [{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}]}}`,
		"mode with file type":               `{"linux": {"devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 8630}]}}`,
		"FIFO":                              `{"linux": {"devices": [{"path": "/dev/x", "type": "p"}, {"path": "/dev/y", "type": "u", "major": 1, "minor": 3}]}}`,
		"device rule with -1":               `{"linux": {"resources": {"devices": [{"allow": true, "type": "c", "access": "r", "major": -1, "minor": -1}]}}}`,
		"device rule without type":          `{"linux": {"resources": {"devices": [{"allow": true, "access": "r", "major": 1, "minor": 3}]}}}`,
		"device rule with other letters":    `{"linux": {"resources": {"devices": [{"allow": true, "type": "c", "access": "rwx"}]}}}`,
		"device rule without access":        `{"linux": {"resources": {"devices": [{"allow": false}]}}}`,
		"recursive propagation":             `{"linux": {"rootfsPropagation": "rslave"}}`,
		"empty seccomp":                     `{"linux": {"seccomp": {}}}`,
		"seccomp rule without names":        `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}}}`,
		"seccomp rule like the default":     `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["getcwd"], "action": "SCMP_ACT_ALLOW"}]}}}`,
		"seccomp architecture twice":        `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86_64"]}}}`,
		"seccomp syscall unknown":           `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["foobar"], "action": "SCMP_ACT_ERRNO"}]}}}`,
		"seccomp listener without notify":   `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "x.sock"}}}`,
		"seccomp metadata without listener": `{"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}}}`,
		"hook with odd env":                 `{"hooks": {"prestart": [{"path": "/bin/true", "env": ["A"]}]}}`,
		"mappings without user namespace":   `{"linux": {"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}}`,
		"personality":                       `{"linux": {"personality": {"domain": "LINUX32"}}}`,
		"cpus with line end":                `{"linux": {"resources": {"cpu": {"cpus": "0-1\n"}}}}`,
		"cpus with space":                   `{"linux": {"resources": {"cpu": {"cpus": "0, 1"}}}}`,
		"annotation without key":            `{"annotations": {"": "x"}}`,
		"name given twice":                  `{"hostname": "a", "hostname": "b"}`,
		"names in another case":             `{"HostName": "a", "Process": {"CWD": "/"}}`,
		"odd hostname":                      `{"hostname": "a/b c"}`,
		"unknown fields":                    `{"x": 1, "linux": {"y": {"z": [null]}}}`,
	}
	for name, doc := range configs {
		s := Default()
		if err := json.Unmarshal([]byte(doc), s); err != nil {
			t.Fatal(name, err)
		}
		if _, err := Parse([]byte(doc)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := Validate(s).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
