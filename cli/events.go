package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

func (a *app) eventsCommand() *cli.Command {
	return &cli.Command{
		Name:        "events",
		Usage:       "print a container's figures again and again, and when it runs out of memory",
		ArgsUsage:   "ID",
		Description: "A line of JSON an event, of type stats or oom, until the container stops.",
		Flags: []cli.Flag{
			&cli.DurationFlag{Name: "interval", Value: 5 * time.Second, Usage: "`TIME` between two of type stats, such as 500ms or 1m"},
			&cli.BoolFlag{Name: "stats", Usage: "print the figures once, now"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			interval := value[time.Duration](c, "interval")
			if interval <= 0 {
				return fmt.Errorf("--interval %s: use a time above 0, such as 500ms or 5s", interval)
			}
			if !value[bool](c, "stats") {
				return a.runtime.Events(id, interval, printEvent)
			}
			event, err := a.runtime.Stats(id)
			if err != nil {
				return err
			}
			return printEvent(event)
		},
	}
}

func printEvent(e *libcontainer.Event) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(data, '\n'))
	return err
}
