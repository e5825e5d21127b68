package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

func (a *app) pruneCommand() *cli.Command {
	return &cli.Command{
		Name:        "prune",
		Usage:       "remove all containers of the state root that have stopped",
		Description: "What creates left that were interrupted goes too. A line tells of each that is\nremoved. An engine whose containers these are may expect to delete them itself.",
		Action: func(_ context.Context, c *cli.Command) error {
			if n := c.Args().Len(); n != 0 {
				return fmt.Errorf("prune takes no arguments, not %d: it is for all containers of the state root", n)
			}
			count := 0
			err := a.runtime.Prune(func(c *libcontainer.Container) {
				count++
				fmt.Fprintln(os.Stdout, pruned(c))
			})
			if err == nil && count == 0 {
				fmt.Fprintln(os.Stdout, "there is nothing to remove")
			}
			return err
		},
	}
}

// pruned says in a line what was removed.
func pruned(c *libcontainer.Container) string {
	if c.Created.IsZero() {
		return "removed " + c.ID + ": left by a create that was interrupted"
	}
	what := "stopped"
	if c.Pid == 0 {
		what = "left by a create that was interrupted"
	}
	return fmt.Sprintf("removed %s: %s; created %s of %s", c.ID, what, c.Created.Format(time.RFC3339), c.Bundle)
}
