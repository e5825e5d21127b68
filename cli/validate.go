package cli

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/urfave/cli/v3"
)

func (a *app) validateCommand() *cli.Command {
	return &cli.Command{
		Name:        "validate",
		Usage:       "list all that is wrong with a bundle, a line each; nothing is done",
		Description: "Beside the document itself, what this host cannot do of it is told. The exit code\nis 0 where a container could be made, and 1 where not; warnings go to standard error.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "the bundle's `FOLDER`"},
			&cli.StringFlag{Name: "config", Aliases: []string{"f"}, Usage: "another `FILE` than the bundle's config.json"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if n := c.Args().Len(); n != 0 {
				return fmt.Errorf("validate takes no arguments, not %d: name the bundle with --bundle", n)
			}
			problems, warnings, err := a.runtime.Validate(value[string](c, "bundle"), value[string](c, "config"))
			if err != nil {
				return err
			}
			for _, w := range warnings {
				a.log.write("warning", w)
			}
			if len(problems) == 0 {
				return nil
			}
			for i, p := range problems {
				problems[i] = strings.ReplaceAll(p, "\n", "; ")
			}
			if _, err := os.Stdout.WriteString(strings.Join(problems, "\n") + "\n"); err != nil {
				return err
			}
			return exitCode(failure)
		},
	}
}
