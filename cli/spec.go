package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/urfave/cli/v3"

	"berth/spec"
)

func (a *app) specCommand() *cli.Command {
	return &cli.Command{
		Name:  "spec",
		Usage: "write a config.json to start from",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Usage: "write it into `FOLDER`, not the working folder"},
			&cli.BoolFlag{Name: "rootless", Usage: "write one for a user without root's powers"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if n := c.Args().Len(); n != 0 {
				return fmt.Errorf("spec takes no arguments, not %d: name the folder with --bundle", n)
			}
			s := spec.Default()
			if value[bool](c, "rootless") {
				spec.Rootless(s, uint32(os.Getuid()), uint32(os.Getgid()))
			}
			data, err := spec.JSON(s)
			if err != nil {
				return err
			}
			return writeNew(filepath.Join(value[string](c, "bundle"), "config.json"), data)
		},
	}
}

// writeNew never replaces a file: a config is somebody's work.
func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists already: remove it first, or name another folder with --bundle", path)
	}
	if err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	if _, err := f.Write(data); err != nil {
		return errors.Join(fmt.Errorf("spec: %w", err), f.Close())
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("spec: %w", err)
	}
	return nil
}
