package compile

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

// Labels are written while the host's procfs is in reach, before the keyring is
// made and before no_new_privs, which would forbid a profile.
func TestExecLabels(t *testing.T) {
	in := execInput()
	in.Process.ApparmorProfile, in.Process.SelinuxLabel = "docker-default", "a:b:c:s0"
	in.Host.AppArmor, in.Host.SELinux = true, true
	in.Namespaces = JoinFlags(in.Spec)
	out, err := Exec(in)
	if err != nil {
		t.Fatal(err)
	}
	inOrder(t, lines(&out.Plan), "dir_open path=/proc into=proc\n", "write_proc proc=proc path=self/attr/apparmor/exec data=exec docker-default\n",
		"write_proc proc=proc path=self/attr/keycreate data=a:b:c:s0\n", "write_proc proc=proc path=self/attr/exec data=a:b:c:s0\n",
		"close_slot slot=proc\n", "undumpable\n", "setns", "keyring", "no_new_privs")
}

func TestLabelsWithoutModule(t *testing.T) {
	in := execInput()
	in.Process.ApparmorProfile = "docker-default"
	if _, err := Exec(in); err == nil || !strings.Contains(err.Error(), `process.apparmorProfile: AppArmor is not enabled on this host: leave "docker-default" out`) {
		t.Errorf("profile: %v", err)
	}
	in.Process.ApparmorProfile, in.Process.SelinuxLabel = "unconfined", "a:b:c:s0"
	out, err := Exec(in)
	if err != nil {
		t.Fatal(err)
	}
	if text := lines(&out.Plan); strings.Contains(text, "attr/") {
		t.Errorf("labels in\n%s", text)
	}
	if len(out.Warnings) != 1 || !strings.Contains(out.Warnings[0], "process.selinuxLabel: SELinux is not enabled") {
		t.Errorf("warnings: %q", out.Warnings)
	}
}

func TestMountContext(t *testing.T) {
	labelling := func(selinux bool, kind string) *compiler {
		in := execInput()
		in.Spec.Linux.MountLabel = "a:b:c:s0:c1,c2"
		in.Host.SELinux = selinux
		if kind != "" {
			in.Spec.Annotations = map[string]string{"run.oci.mount_context_type": kind}
		}
		return execCompiler(&in)
	}
	for _, c := range []struct {
		fstype, kind string
		selinux      bool
		want         string
	}{
		{"tmpfs", "", true, "context=a:b:c:s0:c1,c2"},
		{"devpts", "rootcontext", true, "rootcontext=a:b:c:s0:c1,c2"},
		{"proc", "", true, ""},
		{"cgroup2", "", true, ""},
		{"mqueue", "", true, ""}, // the host's IPC namespace here
		{"tmpfs", "", false, ""},
		{"tmpfs", "other", true, ""},
	} {
		k := labelling(c.selinux, c.kind)
		if got := k.mountContext(c.fstype); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
		if wrong := c.kind == "other"; wrong != (len(k.errs) == 1) {
			t.Errorf("%+v: errors %v", c, k.errs)
		}
	}
	k := labelling(false, "")
	k.mountContext("tmpfs")
	k.mountContext("devpts")
	if len(k.out.Warnings) != 1 {
		t.Errorf("warnings: %q", k.out.Warnings)
	}
	if got := labelling(true, "").labelled("tmpfs", []string{"mode=755"}); strings.Join(got, " ") != "mode=755 context=a:b:c:s0:c1,c2" {
		t.Errorf("labelled: %q", got)
	}
	var none specs.Spec
	if got := (&compiler{Input: Input{Spec: &none}}).mountContext("tmpfs"); got != "" {
		t.Errorf("without a label: %q", got)
	}
}
