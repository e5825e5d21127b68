package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"berth/seccomp"
)

func (a *app) versionCommand() *cli.Command {
	return &cli.Command{
		Name:  "version",
		Usage: "print the version",
		Action: func(context.Context, *cli.Command) error {
			return printVersion(os.Stdout)
		},
	}
}

// printVersion prints the lines that containerd's parser knows.
func printVersion(w io.Writer) error {
	_, err := fmt.Fprintf(w, "berth version %s\ncommit: %s\nspec: %s\ngo: %s\n", version, commit, specs.Version, runtime.Version())
	if err != nil {
		return err
	}
	if v := seccomp.LibraryVersion(); v != "" {
		_, err = fmt.Fprintf(w, "libseccomp: %s\n", v)
	}
	return err
}
