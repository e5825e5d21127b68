package libcontainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// hookTail is how much of a failed hook's standard error is told, in bytes.
const hookTail = 1024

// setupHooks runs what runtime.md puts between the making of the namespaces
// and pivot_root.
func (m *creation) setupHooks() error {
	h := m.opt.Bundle.Spec.Hooks
	state := m.hookState(specs.StateCreating)
	//lint:ignore SA1019 prestart is deprecated and still what Docker's network needs
	if err := runHooks("hooks.prestart", h.Prestart, state); err != nil {
		return err
	}
	if err := runHooks("hooks.createRuntime", h.CreateRuntime, state); err != nil {
		return err
	}
	if len(h.CreateContainer) > 0 {
		return errors.New("hooks.createContainer: not supported by this version of berth yet: use createRuntime where that will do")
	}
	return nil
}

// startHooks runs what comes right before the process of a run.
func (m *creation) startHooks() error {
	if h := m.opt.Bundle.Spec.Hooks; h != nil && len(h.StartContainer) > 0 {
		return errors.New("hooks.startContainer: not supported by this version of berth yet: use createRuntime where that will do")
	}
	return nil
}

// runHooks runs hooks one after the other; the first that fails ends it.
func runHooks(field string, hooks []specs.Hook, state *specs.State) error {
	if len(hooks) == 0 {
		return nil
	}
	input, err := json.Marshal(state)
	if err != nil {
		return fmt.Errorf("%s: %w", field, err)
	}
	for i := range hooks {
		if err := runHook(&hooks[i], input); err != nil {
			return fmt.Errorf("%s[%d] (%s): %w", field, i, hooks[i].Path, err)
		}
	}
	return nil
}

// runHook runs one hook in the runtime's namespaces with the state on its
// standard input. At its timeout the whole process group is killed.
func runHook(h *specs.Hook, input []byte) error {
	ctx := context.Background()
	if h.Timeout != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(*h.Timeout)*time.Second)
		defer cancel()
	}
	cmd := exec.CommandContext(ctx, h.Path)
	if len(h.Args) > 0 {
		cmd.Args = h.Args
	}
	cmd.Env = h.Env
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(input), os.Stdout, &stderr
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	begin := time.Now()
	err := cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) {
		return nil
	}
	tail := bytes.TrimSpace(stderr.Bytes())
	if len(tail) > hookTail {
		tail = tail[len(tail)-hookTail:]
	}
	after := time.Since(begin).Round(time.Millisecond)
	if ctx.Err() != nil {
		err = fmt.Errorf("killed at its timeout of %d s", *h.Timeout)
	}
	if len(tail) > 0 {
		return fmt.Errorf("after %s: %w: %q", after, err, tail)
	}
	return fmt.Errorf("after %s: %w", after, err)
}
