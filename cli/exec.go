package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"berth/libcontainer"
	"berth/spec"
)

// execFailure is the exit code of an exec that berth itself failed, so that it
// can be told from what the process says.
const execFailure = 255

// failedWith is an error with an exit code of its own.
type failedWith struct {
	error
	code int
}

func (e *failedWith) Unwrap() error { return e.error }

func (a *app) execCommand() *cli.Command {
	return &cli.Command{
		Name:         "exec",
		Usage:        "run another process in a container",
		ArgsUsage:    "ID COMMAND [ARGUMENT…], or with --process ID",
		Description:  "What follows the ID is the command's, dashes and all. In the foreground berth ends\nwith the process's exit code, and with 255 where it could not be started.",
		StopOnNthArg: ptr(1),
		// A value of --env may have commas in it.
		DisableSliceFlagSeparator: true,
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "process", Aliases: []string{"p"}, Usage: "`FILE` that describes the process as config.json's process does"},
			&cli.StringFlag{Name: "cwd", Usage: "working `FOLDER` in the container"},
			&cli.StringSliceFlag{Name: "env", Aliases: []string{"e"}, Usage: "set `NAME=VALUE` beside what the container's process has"},
			&cli.BoolFlag{Name: "tty", Aliases: []string{"t"}, Usage: "give the process a terminal"},
			&cli.StringFlag{Name: "user", Aliases: []string{"u"}, Usage: "`UID[:GID]`, as numbers"},
			&cli.StringSliceFlag{Name: "additional-gids", Aliases: []string{"g"}, Usage: "`GID` of a group to be in too"},
			&cli.StringSliceFlag{Name: "cap", Aliases: []string{"c"}, Usage: "`CAPABILITY` to add, such as CAP_NET_ADMIN"},
			&cli.BoolFlag{Name: "no-new-privs", Usage: "keep the process from gaining privileges by execve"},
			&cli.StringFlag{Name: "apparmor", Usage: "AppArmor `PROFILE`"},
			&cli.StringFlag{Name: "process-label", Usage: "SELinux `LABEL`"},
			&cli.StringSliceFlag{Name: "cgroup", Usage: "run in a cgroup below the container's, which must exist: `[CONTROLLER:]PATH`"},
			&cli.BoolFlag{Name: "ignore-paused", Usage: "start the process in a paused container too; it goes on when that is resumed"},
			&cli.BoolFlag{Name: "detach", Aliases: []string{"d"}, Usage: "leave the process to itself once it runs"},
			&cli.StringFlag{Name: "pid-file", Usage: "`FILE` that gets the pid once the process runs"},
			&cli.StringFlag{Name: "console-socket", Usage: "unix `SOCKET` that gets the terminal's master"},
			&cli.StringFlag{Name: "pidfd-socket", Usage: "unix `SOCKET` that gets a pidfd of the process"},
			&cli.IntFlag{Name: "preserve-fds", Usage: "hand `N` descriptors from 3 on to the process"},
			// runc's; a process's orphans stay with the container here.
			&cli.BoolFlag{Name: "no-subreaper", Hidden: true},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			err := a.exec(c)
			var code exitCode
			if err == nil || errors.As(err, &code) {
				return err
			}
			return &failedWith{err, execFailure}
		},
	}
}

func ptr[T any](v T) *T { return &v }

func (a *app) exec(c *cli.Command) error {
	id := c.Args().First()
	if id == "" {
		return errors.New("exec needs a container id and a command as its arguments: see `berth exec --help`")
	}
	container, err := a.runtime.Load(id)
	if err != nil {
		return err
	}
	s, err := container.Spec()
	if err != nil {
		return err
	}
	p, err := a.execProcess(c, s)
	if err != nil {
		return err
	}
	opt := &libcontainer.ExecOptions{
		Process:       p,
		Cgroups:       value[[]string](c, "cgroup"),
		IgnorePaused:  value[bool](c, "ignore-paused"),
		PreserveFDs:   value[int](c, "preserve-fds"),
		PidFile:       value[string](c, "pid-file"),
		ConsoleSocket: value[string](c, "console-socket"),
		PidfdSocket:   value[string](c, "pidfd-socket"),
	}
	if err := checkPreserved(opt.PreserveFDs); err != nil {
		return err
	}
	detach := value[bool](c, "detach")
	if err := checkTerminal(p.Terminal, detach, opt.ConsoleSocket); err != nil {
		return err
	}
	if detach {
		_, err := container.Exec(s, opt)
		return err
	}
	return execForeground(container, s, opt, value[bool](c, "tty"))
}

// checkTerminal says which flag is missing or too many.
func checkTerminal(terminal, detach bool, socket string) error {
	switch {
	case terminal && detach && socket == "":
		return errors.New("--detach: a detached process has no terminal to relay to: pass --console-socket, or leave --detach or --tty out")
	case !terminal && socket != "":
		return errors.New("--console-socket: the process has no terminal: pass --tty, or leave the socket out")
	case !detach && socket != "":
		return errors.New("--console-socket: only with --detach: without it berth relays the terminal itself")
	}
	return nil
}

// execForeground stays with the process as run does with a container.
func execForeground(container *libcontainer.Container, s *specs.Spec, opt *libcontainer.ExecOptions, ttyFlag bool) error {
	var tty *terminal
	if opt.Process.Terminal {
		field, without := "process.terminal", "set it to false"
		if ttyFlag {
			field, without = "--tty", "leave it out"
		}
		var err error
		if tty, err = newTerminal(field, without); err != nil {
			return err
		}
		defer tty.restore()
		opt.Console = tty.relay
	}
	signals, err := catchSignals()
	if err != nil {
		return err
	}
	pid, err := container.Exec(s, opt)
	if err != nil {
		return err
	}
	status, err := signals.attend(pid, tty)
	tty.drain()
	if err != nil {
		return err
	}
	return exitStatus(status)
}

// execProcess puts the process together: from the file, or from the
// container's own process; then from the flags.
func (a *app) execProcess(c *cli.Command, s *specs.Spec) (*specs.Process, error) {
	p := &specs.Process{Cwd: "/"}
	args := c.Args().Slice()[1:]
	file := value[string](c, "process")
	switch {
	case file != "":
		if len(args) > 0 {
			return nil, fmt.Errorf("--process: the file says what to run: leave %q out", args[0])
		}
		var err error
		if p, err = readProcess(file); err != nil {
			return nil, err
		}
	case len(args) == 0:
		return nil, errors.New("exec needs a command after the container id: see `berth exec --help`")
	case s.Process != nil:
		own := *s.Process
		p = &own
		p.Terminal, p.ConsoleSize = false, nil
	}
	if len(args) > 0 {
		p.Args = args
	}
	if err := execFlags(c, p, s); err != nil {
		return nil, err
	}
	problems, warnings := spec.CheckProcess(p)
	if file == "" {
		return p, inFlags(problems) // create has warned of what is odd
	}
	if len(problems) > 0 {
		return nil, errors.New(problems.Line(file))
	}
	for _, w := range warnings {
		a.log.write("warning", w)
	}
	return p, nil
}

// inFlags names the flags in place of the fields of a process that they describe.
func inFlags(problems spec.Problems) error {
	if len(problems) == 0 {
		return nil
	}
	for i := range problems {
		p := &problems[i]
		field, _, _ := strings.Cut(p.Field, "[")
		switch field {
		case "cwd", "env":
			p.Field = "--" + field
		case "user.uid", "user.gid":
			p.Field = "--user"
		case "user.additionalGids":
			p.Field = "--additional-gids"
		case "args":
			p.Field = "command" + strings.TrimPrefix(p.Field, field)
		case "apparmorProfile":
			p.Field = "--apparmor"
		case "selinuxLabel":
			p.Field = "--process-label"
		}
	}
	return errors.New(problems.Line("exec"))
}

func readProcess(file string) (*specs.Process, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--process: %w", err)
	}
	p, err := spec.ParseProcess(data)
	if err != nil {
		return nil, fmt.Errorf("--process %s: %w", file, err)
	}
	return p, nil
}

// execFlags changes what flags ask for.
func execFlags(c *cli.Command, p *specs.Process, s *specs.Spec) error {
	if isSet(c, "cwd") {
		p.Cwd = value[string](c, "cwd")
	}
	if isSet(c, "tty") {
		p.Terminal = value[bool](c, "tty")
	}
	if isSet(c, "no-new-privs") {
		p.NoNewPrivileges = value[bool](c, "no-new-privs")
	}
	if isSet(c, "apparmor") {
		p.ApparmorProfile = value[string](c, "apparmor")
	}
	if isSet(c, "process-label") {
		p.SelinuxLabel = value[string](c, "process-label")
	}
	for _, e := range value[[]string](c, "env") {
		name, _, ok := strings.Cut(e, "=")
		if !ok || name == "" {
			return fmt.Errorf("--env %q: write NAME=VALUE", e)
		}
		p.Env = setEnv(p.Env, name, e)
	}
	if err := execUser(c, p); err != nil {
		return err
	}
	return addCapabilities(p, s, value[[]string](c, "cap"))
}

// setEnv returns env with an entry in place of those of the same name.
func setEnv(env []string, name, entry string) []string {
	out := make([]string, 0, len(env)+1)
	for _, e := range env {
		if !strings.HasPrefix(e, name+"=") {
			out = append(out, e)
		}
	}
	return append(out, entry)
}

func execUser(c *cli.Command, p *specs.Process) error {
	if user := value[string](c, "user"); user != "" {
		uid, gid, hasGID := strings.Cut(user, ":")
		var err error
		if p.User.UID, err = number("--user", uid, "uid"); err != nil {
			return err
		}
		if hasGID {
			if p.User.GID, err = number("--user", gid, "gid"); err != nil {
				return err
			}
		}
	}
	groups := append([]uint32{}, p.User.AdditionalGids...)
	for _, g := range value[[]string](c, "additional-gids") {
		gid, err := number("--additional-gids", g, "gid")
		if err != nil {
			return err
		}
		groups = append(groups, gid)
	}
	p.User.AdditionalGids = groups
	return nil
}

// number reads a user's or group's id. A runtime does not look names up: they
// mean what the image's passwd says, which engines read.
func number(flag, text, kind string) (uint32, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is no %s: users and groups are numbers here, names are the engine's to look up: see `id -u` and `id -g` in the container", flag, text, kind)
	}
	return uint32(n), nil
}

// addCapabilities adds to all sets that it takes for the process to have them:
// a user other than root keeps them over execve only when they are ambient,
// which they must be inheritable for.
func addCapabilities(p *specs.Process, s *specs.Spec, names []string) error {
	if len(names) == 0 {
		return nil
	}
	for _, name := range names {
		// In config.json a warning does: it may be written for another kernel.
		if _, ok := spec.Capability(name); !ok {
			return fmt.Errorf("--cap %q: is no capability: use a name of capabilities(7), as in CAP_NET_ADMIN", name)
		}
	}
	var caps specs.LinuxCapabilities
	switch {
	case p.Capabilities != nil:
		caps = *p.Capabilities
	case s.Process != nil && s.Process.Capabilities != nil:
		caps = *s.Process.Capabilities
	}
	add := func(set []string) []string { return append(append([]string{}, set...), names...) }
	caps.Bounding, caps.Permitted, caps.Effective = add(caps.Bounding), add(caps.Permitted), add(caps.Effective)
	if p.User.UID != 0 {
		caps.Inheritable, caps.Ambient = add(caps.Inheritable), add(caps.Ambient)
	}
	p.Capabilities = &caps
	return nil
}
