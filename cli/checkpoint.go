package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"
	"golang.org/x/sys/unix"

	"berth/libcontainer"
	"berth/libcontainer/criu"
)

// criuFlags are those that checkpoint and restore share.
func criuFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "image-path", Value: "checkpoint", Usage: "`FOLDER` of the images"},
		&cli.StringFlag{Name: "work-path", Usage: "`FOLDER` of CRIU's logs and statistics, in place of that of the images"},
		&cli.BoolFlag{Name: "tcp-established", Usage: "allow open TCP connections"},
		&cli.BoolFlag{Name: "ext-unix-sk", Usage: "allow unix sockets whose other end is outside"},
		&cli.BoolFlag{Name: "shell-job", Usage: "allow a terminal of the caller's"},
		&cli.BoolFlag{Name: "file-locks", Usage: "allow file locks"},
		&cli.BoolFlag{Name: "lazy-pages", Usage: "move memory when it is asked for (userfaultfd)"},
		&cli.StringFlag{Name: "manage-cgroups-mode", Usage: "`MODE` of handling cgroups: soft, full, strict or ignore"},
		&cli.StringSliceFlag{Name: "empty-ns", Usage: "leave out what is in a `NAMESPACE`: network"},
		&cli.BoolFlag{Name: "auto-dedup", Usage: "remove pages from parent images that are no longer needed"},
	}
}

func (a *app) checkpointCommand() *cli.Command {
	return &cli.Command{
		Name:      "checkpoint",
		Usage:     "write a running container's processes to files (with CRIU); restore brings them back",
		ArgsUsage: "ID",
		Flags: append(criuFlags(),
			&cli.StringFlag{Name: "parent-path", Usage: "`FOLDER` of the images of a pre-dump, from the image path"},
			&cli.BoolFlag{Name: "leave-running", Usage: "let the container go on afterwards"},
			&cli.BoolFlag{Name: "tcp-skip-in-flight", Usage: "pass over TCP connections that are being made"},
			&cli.BoolFlag{Name: "link-remap", Usage: "link files that have no name any more, to keep them"},
			&cli.IntFlag{Name: "status-fd", Value: -1, Usage: "descriptor `FD` that gets a zero byte once lazy pages can be asked for"},
			&cli.StringFlag{Name: "page-server", Usage: "`ADDRESS:PORT` of the page server that gets the memory"},
			&cli.BoolFlag{Name: "pre-dump", Usage: "write the memory alone, while the container runs"},
			&cli.StringFlag{Name: "network-lock", Usage: "lock the network by `METHOD`: iptables, nftables or skip"},
		),
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			cr, err := checkpointOptions(c)
			if err != nil {
				return err
			}
			return a.runtime.Checkpoint(id, cr, value[bool](c, "pre-dump"))
		},
	}
}

// criuOptions reads the flags that checkpoint and restore share.
func criuOptions(c *cli.Command) (*libcontainer.Checkpoint, error) {
	cr := &libcontainer.Checkpoint{Options: criu.Options{
		TCPEstablished: value[bool](c, "tcp-established"),
		ExtUnixSk:      value[bool](c, "ext-unix-sk"),
		ShellJob:       value[bool](c, "shell-job"),
		FileLocks:      value[bool](c, "file-locks"),
		LazyPages:      value[bool](c, "lazy-pages"),
		AutoDedup:      value[bool](c, "auto-dedup"),
	}}
	var err error
	if cr.ImagePath, err = filepath.Abs(value[string](c, "image-path")); err != nil {
		return nil, fmt.Errorf("--image-path: %w", err)
	}
	if work := value[string](c, "work-path"); work != "" {
		if cr.WorkPath, err = filepath.Abs(work); err != nil {
			return nil, fmt.Errorf("--work-path: %w", err)
		}
	}
	switch mode := value[string](c, "manage-cgroups-mode"); mode {
	case "", "soft":
		cr.Cgroups = criu.CgroupSoft
	case "full":
		cr.Cgroups = criu.CgroupFull
	case "strict":
		cr.Cgroups = criu.CgroupStrict
	case "ignore":
		cr.Cgroups = criu.CgroupIgnore
	default:
		return nil, fmt.Errorf("--manage-cgroups-mode: %q is none of soft, full, strict, ignore", mode)
	}
	for _, ns := range value[[]string](c, "empty-ns") {
		if ns != "network" {
			return nil, fmt.Errorf("--empty-ns: %q: CRIU can leave network alone out", ns)
		}
		cr.EmptyNS |= unix.CLONE_NEWNET
	}
	return cr, nil
}

func checkpointOptions(c *cli.Command) (*libcontainer.Checkpoint, error) {
	cr, err := criuOptions(c)
	if err != nil {
		return nil, err
	}
	cr.LeaveRunning = value[bool](c, "leave-running")
	cr.TCPSkipInFlight = value[bool](c, "tcp-skip-in-flight")
	cr.LinkRemap = value[bool](c, "link-remap")
	if cr.ParentImg = value[string](c, "parent-path"); filepath.IsAbs(cr.ParentImg) {
		return nil, fmt.Errorf("--parent-path: %s: name it from the image path, such as ../first", cr.ParentImg)
	}
	if fd := value[int](c, "status-fd"); fd >= 0 {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || fd < 3 {
			return nil, fmt.Errorf("--status-fd %d: no such descriptor is open: open it, or leave the flag out", fd)
		}
		cr.StatusFD = fd
	}
	if address := value[string](c, "page-server"); address != "" {
		i := strings.LastIndexByte(address, ':')
		n, err := strconv.ParseUint(address[i+1:], 10, 16)
		if err != nil || i < 1 {
			return nil, fmt.Errorf("--page-server: %q is not of the form ADDRESS:PORT", address)
		}
		cr.PageServer = &criu.PageServer{Address: strings.Trim(address[:i], "[]"), Port: int(n)}
	}
	if cr.LazyPages && cr.PageServer == nil {
		return nil, errors.New("--lazy-pages: say with --page-server where this side offers the pages")
	}
	switch method := value[string](c, "network-lock"); method {
	case "":
	case "iptables":
		cr.NetworkLock = criu.LockIptables
	case "nftables":
		cr.NetworkLock = criu.LockNftables
	case "skip":
		cr.NetworkLock = criu.LockSkip
	default:
		return nil, fmt.Errorf("--network-lock: %q is none of iptables, nftables, skip", method)
	}
	return cr, nil
}
