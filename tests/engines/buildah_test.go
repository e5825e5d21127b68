package engines

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestBuildah(t *testing.T) {
	e := newEngine(t, "Buildah", "buildah")
	settings := e.podmanSettings()
	e.prefix = append(settings, "buildah")
	e.run(t, []check{
		{name: "from scratch", args: []string{"from", "--name", "base", "scratch"}},
		{name: "add", args: []string{"add", "-q", "base", e.rootfsTar(), "/"}},
		{name: "commit", args: []string{"commit", "-q", "--rm", "base", "box"}},
	})
	file := "FROM localhost/box\nENV WORD=one\nWORKDIR /made\nRUN echo $WORD > /one\nRUN cat /one && echo two >> /one && hostname > /name\nCOPY here /made/\n" +
		"USER user\nRUN id -un > /tmp/who && cat here\nRUN [\"sh\", \"-c\", \"echo three > /tmp/three\"]\nCMD [\"cat\", \"/one\"]\n"
	folder := filepath.Dir(e.write("build/Dockerfile", file))
	e.write("build/here", "copied\n")
	failing := filepath.Dir(e.write("failing/Dockerfile", "FROM localhost/box\nRUN exit 23\n"))
	missing := filepath.Dir(e.write("missing/Dockerfile", "FROM localhost/box\nRUN [\"no-such\"]\n"))
	// Its default limits are above what a nested machine may set, as Podman's are.
	flags := []string{"--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--cgroup-parent", "/" + e.cgroup}
	bud := func(args ...string) []string { return append(append([]string{"bud"}, flags...), args...) }
	e.run(t, []check{
		{name: "bud", args: bud("-t", "built", folder), out: []string{"one\n"}},
		{name: "bud without network", args: bud("--network", "none", "--no-cache", "-t", "again", folder)},
		{name: "bud --layers", args: bud("--layers", "-t", "layers", folder)},
		{name: "bud --layers, again", args: bud("--layers", "-t", "layers", folder), out: []string{"Using cache"}},
		{name: "bud --runtime", args: bud("--runtime", berth, "--no-cache", "-t", "again", folder)},
		{name: "bud with limits", args: bud("--memory", "64m", "--no-cache", "-t", "again", folder)},
		{name: "a step that fails", args: bud(failing), code: 23, err: []string{"exit status 23"}},
		{name: "a step without its program", args: bud(missing), code: 1, err: []string{"executable file not found in $PATH"}},
		{name: "from what was built", args: []string{"from", "--name", "work", "localhost/built"}},
		{name: "run", args: []string{"run", "work", "--", "cat", "/one", "/tmp/who", "/made/here", "/tmp/three"}, out: []string{"one\ntwo\nuser\ncopied\nthree\n"}},
		{name: "run's exit code", args: []string{"run", "work", "--", "sh", "-c", "exit 9"}, code: 9},
		{name: "run as user", args: []string{"run", "--user", "1000", "work", "--", "id", "-u"}, out: []string{"1000\n"}},
		{name: "run with a volume", args: []string{"run", "-v", folder + ":/v:ro", "work", "--", "cat", "/v/here"}, out: []string{"copied\n"}},
		{name: "run without capabilities", args: []string{"run", "--user", "root", "--cap-drop", "all", "work", "--", "grep", "CapEff", "/proc/self/status"}, out: []string{"0000000000000000"}},
		{name: "run --hostname", args: []string{"run", "--hostname", "harbour", "work", "--", "hostname"}, out: []string{"harbour\n"}},
		{name: "run of what is missing", args: []string{"run", "work", "--", "no-such"}, code: 1, err: []string{"executable file not found in $PATH"}},
	})
	e.test(t, "run -t", func(t *testing.T) {
		x := e.onTerminal(t, "run", "-t", "work", "--", "sh")
		x.sees("$ ")
		x.enter("tty; exit 5\n")
		x.sees("/dev/pts/0")
		x.ends(5)
	})
	e.run(t, []check{{name: "rm", args: []string{"rm", "-a"}}, {name: "rmi", args: []string{"rmi", "-a", "-f"}}})
	e.test(t, "nothing is left", func(t *testing.T) {
		if out := strings.TrimSpace(command(t, "", "", berth, "list", "-q").stdout); strings.Contains(out, "buildah") {
			t.Errorf("containers are left: %s", out)
		}
	})
}
