package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/urfave/cli/v3"

	"berth/libcontainer"
)

func (a *app) infoCommand() *cli.Command {
	return &cli.Command{
		Name:        "info",
		Usage:       "print what matters of this host, for a report of what does not work",
		Description: "What this version can do is what `berth features` prints.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "text", Usage: "`FORMAT`: text or json"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			if n := c.Args().Len(); n != 0 {
				return fmt.Errorf("info takes no arguments, not %d", n)
			}
			format := value[string](c, "format")
			if format != "text" && format != "json" {
				return fmt.Errorf("--format %q: use text or json", format)
			}
			info, err := a.runtime.Info()
			if err != nil {
				return err
			}
			if format == "json" {
				return printJSON(os.Stdout, info)
			}
			return printInfo(os.Stdout, info)
		},
	}
}

func printInfo(out io.Writer, i *libcontainer.Info) error {
	yesNo := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	rights := "without root's powers"
	if i.Privileged {
		rights = "with root's powers"
	}
	lacks := strings.Join(i.Lacks, ", ")
	if lacks == "" {
		lacks = "nothing that berth uses"
	}
	const mebi = 1 << 20
	w := tabwriter.NewWriter(out, 0, 1, 2, ' ', 0)
	for _, row := range [...][2]string{
		{"berth", i.Version + " (commit " + commit + ")"},
		{"runtime-spec", i.Spec},
		{"libseccomp", i.Libseccomp},
		{"operating system", i.OS},
		{"kernel", i.Kernel + " " + i.Machine},
		{"lacks", lacks},
		{"CPUs", fmt.Sprint(i.CPUs)},
		{"memory", fmt.Sprintf("%d MiB", i.Memory/mebi)},
		{"user", fmt.Sprintf("%d, %s", i.User, rights)},
		{"state root", fmt.Sprintf("%s, %d containers", i.StateRoot, i.Containers)},
		{"cgroups", i.Cgroups + ": " + strings.Join(i.Controllers, " ")},
		{"cgroup manager", i.CgroupManager},
		{"systemd is init", yesNo(i.Systemd)},
		{"namespaces", strings.Join(i.Namespaces, " ")},
		{"AppArmor", yesNo(i.AppArmor)},
		{"SELinux", yesNo(i.SELinux)},
	} {
		if row[1] != "" {
			fmt.Fprintf(w, "%s:\t%s\n", row[0], row[1])
		}
	}
	return w.Flush()
}
