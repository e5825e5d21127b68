package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"

	"github.com/urfave/cli/v3"

	"berth/entry"
)

func (a *app) psCommand() *cli.Command {
	return &cli.Command{
		Name:         "ps",
		Usage:        "list a container's processes",
		ArgsUsage:    "ID [PS-ARGUMENT…]",
		Description:  "The table is made by ps(1), with -ef or the arguments after the ID, less the\nprocesses of others; it must have a column PID.",
		StopOnNthArg: ptr(1),
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "format", Aliases: []string{"f"}, Value: "table", Usage: "`FORMAT`: table, or json for an array of process ids"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			id := c.Args().First()
			if id == "" {
				return errors.New("ps needs a container id as its first argument: see `berth ps --help`")
			}
			format := value[string](c, "format")
			if format != "table" && format != "json" {
				return fmt.Errorf("--format %q: use table or json", format)
			}
			pids, err := a.runtime.Processes(id)
			if err != nil {
				return err
			}
			if format == "json" {
				return printPids(pids)
			}
			args := c.Args().Slice()[1:]
			if len(args) > 0 && args[0] == "--" {
				args = args[1:]
			}
			return printProcesses(pids, args)
		},
	}
}

func printPids(pids []int) error {
	if pids == nil {
		pids = []int{}
	}
	data, err := json.Marshal(pids)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(append(data, '\n'))
	return err
}

// printProcesses has ps(1) make a table and prints the rows of pids.
func printProcesses(pids []int, args []string) error {
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	table, err := runPs(args)
	if err == nil {
		table, err = selectRows(table, pids)
	}
	if err != nil {
		return fmt.Errorf("ps %s: %w", strings.Join(args, " "), err)
	}
	_, err = os.Stdout.WriteString(table)
	return err
}

func runPs(args []string) (string, error) {
	var stderr bytes.Buffer
	runtime.LockOSThread() // until it is forked
	defer runtime.UnlockOSThread()
	entry.RestoreTimerSlack()
	ps := exec.Command("ps", args...)
	ps.Stderr = &stderr
	table, err := ps.Output()
	words := bytes.TrimSpace(stderr.Bytes())
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return "", fmt.Errorf("%w: install it (procps), or use --format json", err)
	case err != nil && len(words) > 0:
		// What follows is its usage.
		first, _, _ := bytes.Cut(words, []byte("\n"))
		return "", fmt.Errorf("%w: %s", err, first)
	case err != nil && len(table) == 0:
		return "", err
	}
	// It also fails, with a heading alone, where it finds nothing to list.
	return string(table), nil
}

// selectRows returns the heading of a table that ps printed and the rows that
// are about one of pids.
//
// ps ends the numbers of a column where its heading ends. Only where a long
// value has pushed a row to the right, the words are counted instead.
func selectRows(table string, pids []int) (string, error) {
	heading, rest, _ := strings.Cut(table, "\n")
	words := strings.Fields(heading)
	column := -1
	for i, w := range words {
		if w == "PID" {
			column = i
			break
		}
	}
	if column < 0 {
		return "", errors.New("its table has no column PID: ask for one, as with -o pid,args")
	}
	end := strings.Index(" "+heading+" ", " PID ") + len("PID")
	wanted := make(map[int]bool, len(pids))
	for _, pid := range pids {
		wanted[pid] = true
	}
	var b strings.Builder
	b.WriteString(heading)
	b.WriteByte('\n')
	for row := range strings.Lines(rest) {
		pid, ok := numberEndingAt(row, end)
		if !ok {
			pid, ok = wordNumber(row, column)
		}
		if ok && wanted[pid] {
			b.WriteString(row)
		}
	}
	return b.String(), nil
}

// numberEndingAt reads the word of a row that ends at an offset, if it is a
// number.
func numberEndingAt(row string, end int) (int, bool) {
	if end > len(row) || end < len(row) && row[end] != ' ' && row[end] != '\n' {
		return 0, false
	}
	n, err := strconv.Atoi(row[strings.LastIndexByte(row[:end], ' ')+1 : end])
	return n, err == nil
}

// wordNumber reads a row's nth word, if it is a number.
func wordNumber(row string, n int) (int, bool) {
	words := strings.Fields(row)
	if n >= len(words) {
		return 0, false
	}
	pid, err := strconv.Atoi(words[n])
	return pid, err == nil
}
