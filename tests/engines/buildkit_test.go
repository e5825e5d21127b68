package engines

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Docker's BuildKit calls whatever is named runc in its PATH, so that is where berth stands here, behind a script that
// notes the calls.
func TestBuildKit(t *testing.T) {
	folder, err := os.MkdirTemp("", "be-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { removeTree(t, folder) })
	script := "#!/bin/sh\necho \"$@\" >> " + folder + "/calls\nexec " + berth + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(folder, "runc"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	d := newDocker(t, "BuildKit in Docker", nil)
	t.Setenv("DOCKER_BUILDKIT", "1")
	text := "FROM box AS first\nRUN echo one > /one\nRUN echo other > /other\n" +
		"FROM box\nCOPY --from=first /one /\nRUN --mount=type=tmpfs,target=/scratch --mount=type=secret,id=word sh -c 'cat /run/secrets/word > /word; touch /scratch/x'\n" +
		"RUN cat /one && echo two >> /one\nUSER user\nRUN id -u > /tmp/who\nCMD [\"cat\", \"/one\", \"/tmp/who\", \"/word\"]\n"
	build := filepath.Dir(d.write("build/Dockerfile", text))
	failing := filepath.Dir(d.write("failing/Dockerfile", "FROM box\nRUN exit 23\n"))
	missing := filepath.Dir(d.write("missing/Dockerfile", "FROM box\nRUN [\"no-such\"]\n"))
	word := d.write("word", "open sesame\n")
	d.run(t, []check{
		{name: "build", args: []string{"build", "--progress", "plain", "--secret", "id=word,src=" + word, "-t", "built", build}},
		{name: "run what was built", args: dockerArgs("built"), out: []string{"one\ntwo\n1000\nopen sesame\n"}},
		{name: "build without network", args: []string{"build", "--network", "none", "--no-cache", "--secret", "id=word,src=" + word, build}},
		{name: "a step that fails", args: []string{"build", "--progress", "plain", failing}, code: 1, err: []string{"exit code: 23"}},
		{name: "a step without its program", args: []string{"build", "--progress", "plain", missing}, code: 1, err: []string{"executable file not found in $PATH"}},
	})
	d.test(t, "berth was called", func(t *testing.T) {
		calls, err := os.ReadFile(filepath.Join(folder, "calls"))
		if err != nil || strings.Count(string(calls), " run --bundle ") < 8 {
			t.Errorf("BuildKit has not called it for each step (%v):\n%s", err, calls)
		}
	})
}

// The calls of a newer BuildKit: run and exec in the foreground on a terminal that does not control berth, and SIGWINCH
// to berth itself.
func TestBuildKitCalls(t *testing.T) {
	r := newReplay(t, "BuildKit's calls", "run", "sh", "-c", "sleep 600")
	r.process.Terminal = true
	r.process.Args = []string{"sh"}
	r.writeBundle()
	global := []string{berth, "--root", r.in("state"), "--log", r.in("log.json"), "--log-format", "json"}
	r.test(t, "run on a terminal", func(t *testing.T) {
		x := newTerminal(t, false, append(global, "run", "--bundle", r.in("bundle"), "--keep", r.id)...)
		x.sees("# ")
		x.enter("stty size\n")
		x.sees("33 111")
		x.resize(44, 122)
		if err := x.cmd.Process.Signal(unix.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		waitForSize(t, x)
		r.process.Args = []string{"sh", "-c", "stty size; read x; stty size; exit 9"}
		y := newTerminal(t, false, append(global, "exec", "--process", r.writeProcess("process.json"), r.id)...)
		y.sees("33 111")
		y.resize(55, 133)
		if err := y.cmd.Process.Signal(unix.SIGWINCH); err != nil {
			t.Fatal(err)
		}
		y.enter("\n")
		y.sees("55 133")
		y.ends(9)
		x.enter("exit 5\n")
		x.ends(5)
	})
	r.prefix = global
	r.run(t, []check{
		{name: "state of what was kept", args: []string{"state", r.id}, out: []string{`"stopped"`}},
		{name: "delete", args: []string{"delete", "--force", r.id}},
		{name: "delete of what is gone", args: []string{"delete", "--force", r.id}},
		{name: "kill of what is gone", args: []string{"kill", r.id, "9"}, code: 1, err: []string{"does not exist"}, oneLine: true},
	})
}
