// Command cri speaks to a container engine as the kubelet does, by Kubernetes' Container Runtime Interface: it runs a
// pod of two containers, with a runtime that the engine knows by name (a RuntimeClass's handler), looks after it, and
// removes it.
//
//	cri SOCKET CGROUP IMAGE HANDLER
//
// It prints a line for each step: "ok STEP", or "failed STEP: WHY", after which it removes the pod and exits 1.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// kubelet is what is known of the pod on the way.
type kubelet struct {
	cri.RuntimeServiceClient
	ctx                    context.Context
	cgroup, image, handler string
	pod                    string
	sandbox                *cri.PodSandboxConfig
	first, second          string
}

// step is one call, or a few, and what must come of it.
type step struct {
	name string
	do   func() error
}

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: cri SOCKET CGROUP IMAGE HANDLER")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "cri:", err)
		os.Exit(1)
	}
}

func run(socket, cgroup, image, handler string) error {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 8*time.Minute)
	defer cancel()
	k := &kubelet{RuntimeServiceClient: cri.NewRuntimeServiceClient(connection), ctx: ctx, cgroup: cgroup, image: image, handler: handler}
	for _, s := range []step{
		{"status", k.status}, {"an unknown handler", k.unknown}, {"run the pod's sandbox", k.run}, {"create and start", k.create},
		{"exec", k.exec}, {"exec's exit code", k.execCode}, {"exec of what is missing", k.execMissing}, {"shared hostname and processes", k.shared},
		{"figures", k.stats}, {"change limits", k.update}, {"a container that fails", k.missing}, {"stop", k.stop}, {"remove", k.remove},
	} {
		if err := s.do(); err != nil {
			fmt.Printf("failed %s: %s\n", s.name, strings.ReplaceAll(err.Error(), "\n", " "))
			_ = k.remove() // as far as it goes
			return fmt.Errorf("%s failed", s.name)
		}
		fmt.Println("ok", s.name)
	}
	return nil
}

// status must be that the engine is ready and, with its second answer, that it knows the handler.
func (k *kubelet) status() error {
	answer, err := k.Status(k.ctx, &cri.StatusRequest{Verbose: true})
	if err != nil {
		return err
	}
	for _, c := range answer.Status.Conditions {
		if c.Type == "RuntimeReady" && !c.Status {
			return fmt.Errorf("not ready: %s", c.Message)
		}
	}
	if config := answer.Info["config"]; !strings.Contains(config, `"`+k.handler+`"`) {
		return fmt.Errorf("the configuration has no %s: %s", k.handler, config)
	}
	return nil
}

// host is a sandbox on the host's network, so that no network plugin is needed.
func (k *kubelet) host(name string) *cri.PodSandboxConfig {
	return &cri.PodSandboxConfig{
		Metadata: &cri.PodSandboxMetadata{Name: name, Uid: name, Namespace: "default"},
		Linux: &cri.LinuxPodSandboxConfig{
			CgroupParent: k.cgroup,
			SecurityContext: &cri.LinuxSandboxSecurityContext{
				NamespaceOptions: &cri.NamespaceOption{Network: cri.NamespaceMode_NODE, Pid: cri.NamespaceMode_POD},
			},
		},
	}
}

func (k *kubelet) unknown() error {
	_, err := k.RunPodSandbox(k.ctx, &cri.RunPodSandboxRequest{Config: k.host("unknown"), RuntimeHandler: "no-such"})
	if err == nil || !strings.Contains(err.Error(), "no-such") {
		return fmt.Errorf("error %v", err)
	}
	return nil
}

func (k *kubelet) run() error {
	k.sandbox = k.host("quay")
	answer, err := k.RunPodSandbox(k.ctx, &cri.RunPodSandboxRequest{Config: k.sandbox, RuntimeHandler: k.handler})
	if err != nil {
		return err
	}
	k.pod = answer.PodSandboxId
	status, err := k.PodSandboxStatus(k.ctx, &cri.PodSandboxStatusRequest{PodSandboxId: k.pod})
	if err != nil {
		return err
	}
	if status.Status.State != cri.PodSandboxState_SANDBOX_READY || status.Status.RuntimeHandler != k.handler {
		return fmt.Errorf("it is %s on %q", status.Status.State, status.Status.RuntimeHandler)
	}
	return nil
}

// container creates and starts one in the pod.
func (k *kubelet) container(name string, command ...string) (string, error) {
	created, err := k.CreateContainer(k.ctx, &cri.CreateContainerRequest{PodSandboxId: k.pod, SandboxConfig: k.sandbox, Config: &cri.ContainerConfig{
		Metadata: &cri.ContainerMetadata{Name: name}, Image: &cri.ImageSpec{Image: k.image}, Command: command,
		Linux: &cri.LinuxContainerConfig{
			Resources: &cri.LinuxContainerResources{MemoryLimitInBytes: 64 << 20, CpuShares: 512},
			SecurityContext: &cri.LinuxContainerSecurityContext{
				NamespaceOptions: k.sandbox.Linux.SecurityContext.NamespaceOptions,
				Seccomp:          &cri.SecurityProfile{ProfileType: cri.SecurityProfile_RuntimeDefault},
				NoNewPrivs:       true,
			},
		},
	}})
	if err != nil {
		return "", err
	}
	_, err = k.StartContainer(k.ctx, &cri.StartContainerRequest{ContainerId: created.ContainerId})
	return created.ContainerId, err
}

func (k *kubelet) create() (err error) {
	if k.first, err = k.container("first", "sh", "-c", "trap '' TERM; exec sleep 600"); err != nil {
		return err
	}
	k.second, err = k.container("second", "sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done")
	return err
}

// inside runs a command in the first container.
func (k *kubelet) inside(command ...string) (*cri.ExecSyncResponse, error) {
	return k.ExecSync(k.ctx, &cri.ExecSyncRequest{ContainerId: k.first, Cmd: command, Timeout: 30})
}

// expect runs a command, which must succeed and whose output must hold a text.
func (k *kubelet) expect(text string, command ...string) error {
	answer, err := k.inside(command...)
	if err != nil {
		return err
	}
	if answer.ExitCode != 0 || !strings.Contains(string(answer.Stdout), text) {
		return fmt.Errorf("exit code %d, output %q, errors %q; want %q", answer.ExitCode, answer.Stdout, answer.Stderr, text)
	}
	return nil
}

func (k *kubelet) exec() error {
	return k.expect("Seccomp:\t2", "grep", "Seccomp:", "/proc/self/status")
}

func (k *kubelet) execCode() error {
	answer, err := k.inside("sh", "-c", "exit 9")
	if err == nil && answer.ExitCode != 9 {
		return fmt.Errorf("exit code %d, want 9", answer.ExitCode)
	}
	return err
}

func (k *kubelet) execMissing() error {
	_, err := k.inside("no-such")
	if err == nil || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		return fmt.Errorf("error %v", err)
	}
	return nil
}

func (k *kubelet) shared() error { return k.expect("trap", "ps") }

func (k *kubelet) stats() error {
	answer, err := k.ContainerStats(k.ctx, &cri.ContainerStatsRequest{ContainerId: k.first})
	if err != nil {
		return err
	}
	if m := answer.Stats.Memory; m == nil || m.WorkingSetBytes.GetValue() == 0 {
		return fmt.Errorf("no memory in %v", answer.Stats)
	}
	return nil
}

func (k *kubelet) update() error {
	_, err := k.UpdateContainerResources(k.ctx, &cri.UpdateContainerResourcesRequest{ContainerId: k.first,
		Linux: &cri.LinuxContainerResources{MemoryLimitInBytes: 96 << 20}})
	if err != nil {
		return err
	}
	return k.expect("100663296", "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null; true")
}

func (k *kubelet) missing() error {
	id, err := k.container("missing", "no-such")
	if err == nil || !strings.Contains(err.Error(), "executable file not found in $PATH") {
		return fmt.Errorf("error %v", err)
	}
	_, err = k.RemoveContainer(k.ctx, &cri.RemoveContainerRequest{ContainerId: id})
	return err
}

// stop ends the second container gently, and the first by force, since it does not heed TERM.
func (k *kubelet) stop() error {
	for _, want := range []struct {
		id   string
		code int32
	}{{k.second, 3}, {k.first, 137}} {
		if _, err := k.StopContainer(k.ctx, &cri.StopContainerRequest{ContainerId: want.id, Timeout: 2}); err != nil {
			return err
		}
		answer, err := k.ContainerStatus(k.ctx, &cri.ContainerStatusRequest{ContainerId: want.id})
		if err != nil {
			return err
		}
		if s := answer.Status; s.State != cri.ContainerState_CONTAINER_EXITED || s.ExitCode != want.code {
			return fmt.Errorf("%s has ended with %d (%s), want %d", s.Metadata.Name, s.ExitCode, s.State, want.code)
		}
	}
	return nil
}

// remove removes the pod and all that is in it.
func (k *kubelet) remove() error {
	if k.pod == "" {
		return nil
	}
	if _, err := k.StopPodSandbox(k.ctx, &cri.StopPodSandboxRequest{PodSandboxId: k.pod}); err != nil {
		return err
	}
	if _, err := k.RemovePodSandbox(k.ctx, &cri.RemovePodSandboxRequest{PodSandboxId: k.pod}); err != nil {
		return err
	}
	left, err := k.ListContainers(k.ctx, &cri.ListContainersRequest{})
	if err == nil && len(left.Containers) > 0 {
		return fmt.Errorf("containers are left: %v", left.Containers)
	}
	return err
}
