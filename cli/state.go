package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

// stateJSON is what state and list print: runtime.md's state and what engines
// read beside it.
type stateJSON struct {
	OCIVersion  string            `json:"ociVersion"`
	ID          string            `json:"id"`
	Pid         int               `json:"pid"`
	Status      string            `json:"status"`
	Bundle      string            `json:"bundle"`
	Rootfs      string            `json:"rootfs"`
	Created     time.Time         `json:"created"`
	Annotations map[string]string `json:"annotations,omitempty"`
	Owner       string            `json:"owner"`
}

func stateOf(c *libcontainer.Container, status specs.ContainerState) *stateJSON {
	s := &stateJSON{c.OCIVersion, c.ID, c.Pid, string(status), c.Bundle, c.Rootfs, c.Created, c.Annotations, c.Owner}
	if status == "stopped" {
		s.Pid = 0
	}
	return s
}

func (a *app) stateCommand() *cli.Command {
	return &cli.Command{
		Name:      "state",
		Usage:     "print a container's state as JSON",
		ArgsUsage: "ID",
		Action: func(_ context.Context, cmd *cli.Command) error {
			id, err := oneID(cmd)
			if err != nil {
				return err
			}
			c, err := a.runtime.Load(id)
			if err != nil {
				return err
			}
			status, err := c.Status()
			if err != nil {
				return err
			}
			return printJSON(os.Stdout, stateOf(c, status))
		},
	}
}

func printJSON(w io.Writer, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = w.Write(append(data, '\n'))
	return err
}

func (a *app) listCommand() *cli.Command {
	return &cli.Command{
		Name:  "list",
		Usage: "list the containers of the state root",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "`FORMAT`: table or json"},
			&cli.BoolFlag{Name: "quiet", Aliases: []string{"q"}, Usage: "print ids only"},
		},
		Action: func(_ context.Context, cmd *cli.Command) error {
			if n := cmd.Args().Len(); n != 0 {
				return fmt.Errorf("list takes no arguments, not %d", n)
			}
			all, err := a.runtime.List()
			if err != nil {
				return err
			}
			if cmd.Bool("quiet") {
				for _, c := range all {
					fmt.Println(c.ID)
				}
				return nil
			}
			statuses, err := libcontainer.Statuses(all)
			if err != nil {
				return err
			}
			states := make([]*stateJSON, len(all))
			for i, c := range all {
				states[i] = stateOf(c, statuses[i])
			}
			switch f := cmd.String("format"); f {
			case "json":
				data, err := json.Marshal(states)
				if err != nil {
					return err
				}
				_, err = os.Stdout.Write(append(data, '\n'))
				return err
			case "table":
				return printTable(os.Stdout, states)
			default:
				return fmt.Errorf("--format %q: use table or json", f)
			}
		},
	}
}

func printTable(out io.Writer, states []*stateJSON) error {
	buffered := bufio.NewWriter(out)
	w := tabwriter.NewWriter(buffered, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for _, s := range states {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Pid, s.Status, s.Bundle, s.Created.Format(time.RFC3339Nano), s.Owner)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return buffered.Flush()
}
