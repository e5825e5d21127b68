package cli

import (
	"context"
	"fmt"

	"github.com/urfave/cli/v3"

	"berth/cli/regex"
	"berth/spec"
)

func (a *app) killCommand() *cli.Command {
	return &cli.Command{
		Name:      "kill",
		Usage:     "send a signal (default TERM) to a container's process",
		ArgsUsage: "ID [SIGNAL]",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "all", Aliases: []string{"a"}, Usage: "send it to all of the container's processes"},
			&cli.BoolFlag{Name: "regex", Aliases: []string{"r"}, Usage: "ID is a regular expression: signal all that match"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			args := c.Args().Slice()
			if len(args) < 1 || len(args) > 2 {
				return fmt.Errorf("kill takes a container id and a signal, not %d arguments: see `berth kill --help`", len(args))
			}
			name := "TERM"
			if len(args) == 2 {
				name = args[1]
			}
			signal, err := spec.Signal(name)
			if err != nil {
				return err
			}
			return a.each(args[0], value[bool](c, "regex"), func(id string) error {
				return a.runtime.Kill(id, signal, value[bool](c, "all"))
			})
		},
	}
}

func (a *app) deleteCommand() *cli.Command {
	return &cli.Command{
		Name:      "delete",
		Usage:     "remove a stopped container",
		ArgsUsage: "ID",
		Flags: []cli.Flag{
			&cli.BoolFlag{Name: "force", Aliases: []string{"f"}, Usage: "end the container first if it runs; one that does not exist is fine"},
			&cli.BoolFlag{Name: "regex", Aliases: []string{"r"}, Usage: "ID is a regular expression: remove all that match"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			return a.each(id, value[bool](c, "regex"), func(id string) error {
				return a.runtime.Delete(id, value[bool](c, "force"))
			})
		},
	}
}

// each runs f on the container, or if matching on all whose whole id matches.
func (a *app) each(id string, matching bool, f func(id string) error) error {
	if !matching {
		return f(id)
	}
	re, err := regex.Compile(id)
	if err != nil {
		return fmt.Errorf("--regex %q: %w", id, err)
	}
	all, err := a.runtime.List()
	if err != nil {
		return err
	}
	for _, c := range all {
		if !re.Match(c.ID) {
			continue
		}
		if err := f(c.ID); err != nil {
			return err
		}
	}
	return nil
}
