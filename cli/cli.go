// Package cli is berth's command line: runc's, whole, and what berth has
// beside. Each command has a file of its own.
package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

// Set by the build.
var (
	version = "unknown"
	commit  = "unknown"
)

// failure is the exit code of berth's own failures; exec's are 255.
const failure = 1

// exitCode is an error that stands for a container's own exit code and has
// nothing to say.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// Main runs berth with the arguments of main and returns its exit code.
func Main(args []string) int {
	app := &app{}
	root := app.command(args)
	err := app.traced(func() error { return root.Run(context.Background(), longFlags(root, args)) })
	var code exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	}
	app.fail(err)
	var failed *failedWith
	if errors.As(err, &failed) {
		return failed.code
	}
	return failure
}

// traced runs berth and writes the trace, if one is asked for, also of a
// command that fails.
func (a *app) traced(run func() error) error {
	err := run()
	if a.runtime == nil || a.runtime.Trace == nil {
		return err
	}
	if writeErr := a.runtime.Trace.WriteFile(a.trace); writeErr != nil {
		err = errors.Join(err, fmt.Errorf("--trace: %w", writeErr))
	}
	return err
}

// app is what the global flags set for all commands.
type app struct {
	log     logger
	runtime *libcontainer.Runtime
	trace   string // --trace's file
}

// command returns berth's command line, as far as it takes to run args.
func (a *app) command(args []string) *cli.Command {
	quiet := func(context.Context, *cli.Command, error) {}
	usage := func(_ context.Context, c *cli.Command, err error, _ bool) error {
		err = fmt.Errorf("%w: see `%s --help`", wanted(err), c.FullName())
		if c.Name == "exec" {
			err = &failedWith{err, execFailure}
		}
		return err
	}
	root := &cli.Command{
		Name:           "berth",
		Usage:          "run containers as the Open Container Initiative's runtime-spec describes them",
		Description:    "A container is made from a bundle: a folder with a config.json (see `berth spec`)\nand the root file system that it names.",
		HideVersion:    true,
		ExitErrHandler: quiet,
		OnUsageError:   usage,
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "debug", Usage: "log more"},
			&cli.StringFlag{Name: "log", Usage: "write messages to `FILE` too"},
			&cli.StringFlag{Name: "log-format", Value: "text", Usage: "`FORMAT` of the log file: text or json"},
			&cli.StringFlag{Name: "log-level", Usage: "least `LEVEL` to log: debug, info, warning or error"},
			&cli.StringFlag{Name: "root", Usage: "keep containers' state in `DIR` (default /run/berth, for others than root $XDG_RUNTIME_DIR/berth)"},
			&cli.BoolFlag{Name: "systemd-cgroup", Usage: "let systemd make the cgroups"},
			&cli.StringFlag{Name: "cgroup-manager", Value: "cgroupfs", Usage: "`WHO` makes the cgroups: cgroupfs, systemd or disabled (none is made, and a limit is an error)"},
			&cli.StringFlag{Name: "rootless", Value: "auto", Usage: "`WHETHER` berth is without root's powers: true, false or auto"},
			&cli.StringFlag{Name: "trace", Usage: "write a timeline to `FILE`, for Perfetto or chrome://tracing"},
			&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version"},
		},
		Before: a.before,
		Action: a.noCommand,
	}
	root.Commands = a.commands(commandName(root.Flags, args))
	root.HideHelpCommand = len(root.Commands) == 1
	for _, c := range root.Commands {
		c.ExitErrHandler, c.OnUsageError = quiet, usage
		c.HideHelpCommand = true
	}
	return root
}

// wanted says what is wanted where a flag's value cannot be read; the flags'
// package says how it failed to.
func wanted(err error) error {
	if flag, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
		return fmt.Errorf("there is no flag --%s", flag)
	}
	text, ok := strings.CutPrefix(err.Error(), "invalid value ")
	if !ok {
		return err
	}
	value, prefixErr := strconv.QuotedPrefix(text)
	flag, why, ok := strings.Cut(strings.TrimPrefix(text[len(value):], " for flag -"), ": ")
	if prefixErr != nil || !ok {
		return err
	}
	want := ""
	switch {
	case strings.HasSuffix(why, strconv.ErrRange.Error()):
		want = "a number that is nearer to 0"
	case strings.HasPrefix(why, "strconv.ParseInt:"):
		want = "a whole number"
	case why == "parse error": // a flag without a value otherwise
		want = "true or false"
	case strings.HasPrefix(why, "time: "):
		want = "a time with its unit, such as 500ms or 1m"
	default:
		return err
	}
	return fmt.Errorf("--%s %s: want %s", flag, value, want)
}

// commands returns the command of that name alone, since making and setting up
// all of them takes longer than what many do; and all for any other name, as
// help needs them.
func (a *app) commands(name string) []*cli.Command {
	all := [...]struct {
		name string
		make func() *cli.Command
	}{
		{"create", a.createCommand}, {"start", a.startCommand}, {"run", a.runCommand}, {"exec", a.execCommand},
		{"state", a.stateCommand}, {"list", a.listCommand}, {"ps", a.psCommand}, {"events", a.eventsCommand}, {"wait", a.waitCommand},
		{"kill", a.killCommand}, {"pause", a.pauseCommand}, {"resume", a.resumeCommand}, {"update", a.updateCommand}, {"mounts", a.mountsCommand},
		{"checkpoint", a.checkpointCommand}, {"restore", a.restoreCommand},
		{"delete", a.deleteCommand}, {"prune", a.pruneCommand},
		{"spec", a.specCommand}, {"validate", a.validateCommand}, {"plan", a.planCommand}, {"version", a.versionCommand}, {"features", a.featuresCommand},
		{"info", a.infoCommand}, {"completion", a.completionCommand},
	}
	commands := make([]*cli.Command, 0, len(all))
	for i := range all {
		if all[i].name == name {
			return append(commands, all[i].make())
		}
	}
	for i := range all {
		commands = append(commands, all[i].make())
	}
	return commands
}

// commandName returns the first of args that is neither a global flag nor one's
// value; "" for none, and where the flag asks for help.
func commandName(flags []cli.Flag, args []string) string {
	for i := 1; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") {
			return arg
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name == "h" || name == "help" {
			return ""
		}
		if f := findFlag(flags, name); f != nil && takesValue(f) && !hasValue {
			i++
		}
	}
	return ""
}

// noCommand is what berth does without one.
func (a *app) noCommand(_ context.Context, c *cli.Command) error {
	if value[bool](c, "version") {
		return printVersion(os.Stdout)
	}
	if name := c.Args().First(); name != "" {
		return fmt.Errorf("there is no command %q: see `berth --help`", name)
	}
	return cli.ShowAppHelp(c)
}

// before takes the global flags in.
func (a *app) before(ctx context.Context, c *cli.Command) (context.Context, error) {
	if err := a.log.open(value[string](c, "log"), value[string](c, "log-format"), logLevel(c)); err != nil {
		return ctx, err
	}
	manager := libcontainer.CgroupManager(value[string](c, "cgroup-manager"))
	switch manager {
	case libcontainer.Cgroupfs, libcontainer.Systemd, libcontainer.NoCgroup:
	default:
		return ctx, fmt.Errorf("--cgroup-manager %q: use cgroupfs, systemd or disabled", manager)
	}
	if value[bool](c, "systemd-cgroup") {
		manager = libcontainer.Systemd
	}
	ordinary, err := ordinaryUser()
	if err != nil {
		return ctx, err
	}
	rootless := ordinary
	switch r := value[string](c, "rootless"); r {
	case "true", "false":
		rootless = r == "true"
	case "auto":
	default:
		return ctx, fmt.Errorf("--rootless %q: use true, false or auto", r)
	}
	// Commands that keep no state work without a place for it.
	root, err := stateRoot(value[string](c, "root"), ordinary)
	if name := c.Args().First(); err != nil && !stateless(name) {
		return ctx, err
	}
	a.runtime = &libcontainer.Runtime{Root: root, Version: version, Log: a.log.write, Debug: a.log.level <= slog.LevelDebug,
		CgroupManager: manager, Rootless: rootless, UserSystemd: rootless}
	if a.trace = value[string](c, "trace"); a.trace != "" {
		a.runtime.Trace = &libcontainer.Trace{}
	}
	return ctx, nil
}

// stateless says whether a command needs no state root.
func stateless(command string) bool {
	switch command {
	case "", "plan", "spec", "version", "help", "h", "features", "validate", "completion":
		return true
	}
	return false
}

// ordinaryUser says whether berth is without root's powers over the host: as
// another user, or as root of a user namespace.
func ordinaryUser() (bool, error) {
	if os.Geteuid() != 0 {
		return true, nil
	}
	return libcontainer.InUserns()
}

// stateRoot returns the absolute path of the state root.
func stateRoot(flag string, ordinary bool) (string, error) {
	if flag != "" {
		abs, err := filepath.Abs(flag)
		if err != nil {
			return "", fmt.Errorf("--root: %w", err)
		}
		return abs, nil
	}
	if !ordinary {
		return "/run/berth", nil
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); dir != "" {
		return filepath.Join(dir, "berth"), nil
	}
	if os.Geteuid() == 0 {
		return "/run/berth", nil // of a whole system in a user namespace
	}
	return "", errors.New("no place for containers' state: set XDG_RUNTIME_DIR, or name a folder with --root")
}

// longFlags doubles the dash of long flags that have one, as in -no-subreaper:
// scripts and engines written for runc use them. It stops where arguments
// begin that are not berth's.
func longFlags(root *cli.Command, args []string) []string {
	out := append([]string{}, args...)
	flags := root.Flags
	var command *cli.Command
	for i := 1; i < len(out); i++ {
		arg := out[i]
		if arg == "--" {
			break
		}
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			if command != nil {
				if command.StopOnNthArg != nil {
					break // what follows the id is another program's
				}
				continue
			}
			if command = root.Command(arg); command != nil {
				flags = append(append([]cli.Flag{}, flags...), command.Flags...)
			}
			continue
		}
		name, _, hasValue := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		f := findFlag(flags, name)
		if f == nil {
			continue
		}
		if !strings.HasPrefix(arg, "--") && len(name) > 1 {
			out[i] = "-" + arg
		}
		if takesValue(f) && !hasValue {
			i++ // its value may start with a dash
		}
	}
	return out
}

// oneID returns the container id that a command takes as its only argument.
func oneID(c *cli.Command) (string, error) {
	switch c.Args().Len() {
	case 1:
		return c.Args().First(), nil
	case 0:
		return "", fmt.Errorf("%s needs a container id as its argument: see `berth %s --help`", c.Name, c.Name)
	}
	return "", fmt.Errorf("%s takes one container id, not %d arguments: see `berth %s --help`", c.Name, c.Args().Len(), c.Name)
}
