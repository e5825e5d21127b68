package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/urfave/cli/v3"
)

func (a *app) waitCommand() *cli.Command {
	return &cli.Command{
		Name:      "wait",
		Usage:     "wait until a container's process ends, and print its exit code",
		ArgsUsage: "ID",
		Description: "The exit code is 128 + N where signal N ended the process. It is known to who\nwaits as the process ends, and later until its parent has taken notice; the first\n" +
			"needs Linux 6.15 where that is quick. Where it is not known, nothing is printed\nbut a warning. berth's own exit code is 0 either way.",
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			exit, err := a.runtime.Wait(id)
			if err != nil {
				return err
			}
			if !exit.Known {
				a.log.write("warning", fmt.Sprintf("container %q has stopped, and its exit code is not known any more", id))
				return nil
			}
			_, err = fmt.Fprintln(os.Stdout, codeOf(exit.Status))
			return err
		},
	}
}
