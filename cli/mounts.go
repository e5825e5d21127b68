package cli

import (
	"context"
	"errors"
	"fmt"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"berth/spec"
)

func (a *app) mountsCommand() *cli.Command {
	return &cli.Command{
		Name:      "mounts",
		Usage:     "make more mounts in a container (add), or take some away (remove)",
		ArgsUsage: "add|remove ID FILE",
		Description: "FILE, or standard input for -, is a list as under mounts in a config.json, or\nan object with it. Of a mount to remove only the destination counts; the last of\n" +
			"the list goes first. Either all mounts are added, or none.",
		Action: func(_ context.Context, c *cli.Command) error {
			args := c.Args().Slice()
			if len(args) != 3 || args[0] != "add" && args[0] != "remove" {
				return errors.New("mounts takes add or remove, a container id and a file: see `berth mounts --help`")
			}
			mounts, err := readMounts(args[2])
			if err != nil {
				return err
			}
			if args[0] == "add" {
				return a.runtime.AddMounts(args[1], mounts)
			}
			return a.runtime.RemoveMounts(args[1], mounts)
		},
	}
}

func readMounts(file string) ([]specs.Mount, error) {
	mounts, file, err := readInput(file, spec.ParseMounts)
	if err != nil {
		return nil, fmt.Errorf("mounts: %w", err)
	}
	if len(mounts) == 0 {
		return nil, fmt.Errorf("mounts: %s has no mount: write a list as under mounts in a config.json", file)
	}
	return mounts, nil
}
