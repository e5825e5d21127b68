package engines

import "testing"

// dockerErrors is what a user of Docker sees of berth's errors: the whole cause in one line, and Docker's exit code
// for it.
func dockerErrors(t *testing.T, d *docker) {
	limit := []string{"run", "-d", "--name", "limited", "box", "sleep", "600"}
	d.run(t, []check{
		{name: "missing executable", args: dockerArgs("box", "no-such"), code: 127, oneLine: true,
			err: []string{`exec: "no-such": executable file not found in $PATH`}},
		{name: "missing executable by path", args: dockerArgs("box", "/bin/no-such"), code: 127, oneLine: true,
			err: []string{"/bin/no-such", "no such file or directory"}},
		{name: "executable without permission", args: dockerArgs("box", "/etc/passwd"), code: 126, oneLine: true,
			err: []string{"/etc/passwd", "permission denied"}},
		{name: "a folder as executable", args: dockerArgs("box", "/etc"), code: 126, oneLine: true, err: []string{"/etc"}},
		{name: "a bad mount", args: dockerArgs("--mount", "type=tmpfs,destination=/proc/sys", "box", "true"), code: 125, oneLine: true,
			err: []string{"mounts[", "/proc/sys"}},
		{name: "a mount on a file of the image", args: dockerArgs("-v", d.in("volume")+":/etc/passwd", "box", "true"), oneLine: true,
			code: 125, err: []string{"mounts[", "/etc/passwd", "not a directory"}},
		{name: "a bad limit", args: dockerArgs("--ulimit", "nofile=2000000000:2000000000", "box", "true"), oneLine: true,
			code: 125, err: []string{"process.rlimits[", "RLIMIT_NOFILE", "2000000000"}},
		{name: "a bad sysctl", args: dockerArgs("--sysctl", "net.ipv4.ip_forward=many", "box", "true"), code: 125, oneLine: true,
			err: []string{"sysctl", "net.ipv4.ip_forward", "invalid argument"}},
		{name: "a missing sysctl", args: dockerArgs("--sysctl", "net.no.such=1", "box", "true"), oneLine: true,
			code: 127, err: []string{"sysctl", "net.no.such", "no such file or directory"}},
		{name: "a working folder that is a file", args: dockerArgs("-w", "/etc/passwd", "box", "true"), oneLine: true,
			code: 125, err: []string{"/etc/passwd"}},
		{name: "a user that is missing", args: dockerArgs("-u", "nobody-here", "box", "true"), code: 125, oneLine: true, err: []string{"nobody-here"}},
		{name: "a container to change", args: limit},
		{name: "a limit below what is used", args: []string{"update", "--memory", "6m", "--memory-swap", "6m", "limited"}},
		{name: "a limit that is refused", args: []string{"update", "--cpuset-mems", "63", "limited"}, code: 1, oneLine: true, err: []string{"63"}},
		{name: "no container is left", args: []string{"rm", "-f", "limited"}},
	})
}
