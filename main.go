// Command berth is a low-level OCI runtime: it turns a bundle into a running
// container. All it does is in package cli and below.
package main

import (
	"os"

	"berth/cli"
)

func main() { os.Exit(cli.Main(os.Args)) }
