package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"berth/spec"
)

func (a *app) updateCommand() *cli.Command {
	return &cli.Command{
		Name:      "update",
		Usage:     "change a container's limits while it runs: all that are given, or none",
		ArgsUsage: "ID",
		Description: "What is not given stays as it is. With --resources, other flags have no effect.\nSizes may have a unit: 512M, 1.5g, 64KiB; units are powers of 1024. -1 is unlimited,\n" +
			"and 0 asks for nothing, save for --cpu-burst, --cpu-idle and --pids-limit.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "resources", Aliases: []string{"r"}, Usage: "`FILE` with limits as config.json has them in linux.resources, or - for standard input"},
			&cli.StringFlag{Name: "blkio-weight", Usage: "`WEIGHT` of block I/O against other cgroups, 10 to 1000"},
			&cli.StringFlag{Name: "cpu-period", Usage: "`TIME` in µs that --cpu-quota is of"},
			&cli.StringFlag{Name: "cpu-quota", Usage: "`TIME` in µs on CPUs in each period"},
			&cli.StringFlag{Name: "cpu-burst", Usage: "`TIME` in µs beyond the quota that may be saved up"},
			&cli.StringFlag{Name: "cpu-share", Usage: "`SHARES` of CPU time against other cgroups, 2 to 262144"},
			&cli.StringFlag{Name: "cpu-rt-period", Usage: "`TIME` in µs that --cpu-rt-runtime is of"},
			&cli.StringFlag{Name: "cpu-rt-runtime", Usage: "`TIME` in µs for realtime processes in each period"},
			&cli.StringFlag{Name: "cpu-idle", Usage: "1 to run only where CPUs would be idle, 0 not to"},
			&cli.StringFlag{Name: "cpuset-cpus", Usage: "`LIST` of CPUs to run on, such as 0-2,7"},
			&cli.StringFlag{Name: "cpuset-mems", Usage: "`LIST` of memory nodes to use"},
			&cli.StringFlag{Name: "memory", Usage: "`SIZE` of memory to use at most"},
			&cli.StringFlag{Name: "memory-reservation", Usage: "`SIZE` of memory to be kept when memory is short"},
			&cli.StringFlag{Name: "memory-swap", Usage: "`SIZE` of memory and swap together to use at most"},
			&cli.StringFlag{Name: "pids-limit", Usage: "`NUMBER` of processes and threads at most"},
			&cli.StringFlag{Name: "l3-cache-schema", Usage: "Intel RDT `SCHEMA` of the L3 cache"},
			&cli.StringFlag{Name: "mem-bw-schema", Usage: "Intel RDT `SCHEMA` of memory bandwidth"},
			// Kernel memory is part of all memory since Linux 5.16; engines still pass these.
			&cli.StringFlag{Name: "kernel-memory", Hidden: true},
			&cli.StringFlag{Name: "kernel-memory-tcp", Hidden: true},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			id, err := oneID(c)
			if err != nil {
				return err
			}
			change, err := a.updateResources(c)
			if err != nil {
				return err
			}
			rdt, err := rdtFlags(c)
			if err != nil {
				return err
			}
			return a.runtime.Update(id, change, rdt)
		},
	}
}

// rdtFlags are the lines for the schemata of Intel RDT, which hold beside
// --resources too: that has no place for them.
func rdtFlags(c *cli.Command) (*specs.LinuxIntelRdt, error) {
	rdt := &specs.LinuxIntelRdt{L3CacheSchema: value[string](c, "l3-cache-schema"), MemBwSchema: value[string](c, "mem-bw-schema")}
	for _, f := range []struct{ flag, value, prefix, like string }{
		{"l3-cache-schema", rdt.L3CacheSchema, "L3", "L3:0=ff;1=ff"}, {"mem-bw-schema", rdt.MemBwSchema, "MB:", "MB:0=20;1=70"},
	} {
		if f.value != "" && (!strings.HasPrefix(f.value, f.prefix) || strings.Contains(f.value, "\n")) {
			return nil, fmt.Errorf("--%s %q: want one line such as %s", f.flag, f.value, f.like)
		}
	}
	return rdt, nil
}

// updateResources puts together what is to change.
func (a *app) updateResources(c *cli.Command) (*specs.LinuxResources, error) {
	file := value[string](c, "resources")
	if file == "" {
		return flagResources(c)
	}
	for _, f := range c.Flags {
		if name, _ := namesOf(f); name != "resources" && name != "l3-cache-schema" && name != "mem-bw-schema" && f.IsSet() {
			a.log.write("warning", "--"+name+" has no effect beside --resources")
		}
	}
	return a.readResources(file)
}

func (a *app) readResources(file string) (*specs.LinuxResources, error) {
	r, file, err := readInput(file, spec.ParseResources)
	if err != nil {
		return nil, fmt.Errorf("--resources: %w", err)
	}
	problems, warnings := spec.CheckResources(r)
	if len(problems) > 0 {
		return nil, fmt.Errorf("--resources: %s", problems.Line(file))
	}
	for _, w := range warnings {
		a.log.write("warning", w)
	}
	return r, nil
}

// flagResources reads the limits that flags give; a section without one is nil.
func flagResources(c *cli.Command) (*specs.LinuxResources, error) {
	r := limitFlags{c: c}
	var cpu specs.LinuxCPU
	set := r.unsigned("cpu-period", &cpu.Period)
	set = r.signed("cpu-quota", &cpu.Quota) || set
	set = r.unsigned("cpu-burst", &cpu.Burst) || set
	set = r.unsigned("cpu-share", &cpu.Shares) || set
	set = r.unsigned("cpu-rt-period", &cpu.RealtimePeriod) || set
	set = r.signed("cpu-rt-runtime", &cpu.RealtimeRuntime) || set
	set = r.signed("cpu-idle", &cpu.Idle) || set
	cpu.Cpus, cpu.Mems = value[string](c, "cpuset-cpus"), value[string](c, "cpuset-mems")
	var out specs.LinuxResources
	if set || cpu.Cpus != "" || cpu.Mems != "" {
		out.CPU = &cpu
	}
	var memory specs.LinuxMemory
	set = r.size("memory", &memory.Limit)
	set = r.size("memory-reservation", &memory.Reservation) || set
	if r.size("memory-swap", &memory.Swap) || set {
		out.Memory = &memory
	}
	var pids specs.LinuxPids
	if r.signed("pids-limit", &pids.Limit) {
		out.Pids = &pids
	}
	var block specs.LinuxBlockIO
	if r.weight("blkio-weight", &block.Weight) {
		out.BlockIO = &block
	}
	return &out, r.err
}

// limitFlags reads the values of flags, and keeps the first error.
type limitFlags struct {
	c   *cli.Command
	err error
}

// value returns a flag's text if it has one.
func (r *limitFlags) value(flag string) (string, bool) {
	text := value[string](r.c, flag)
	return text, text != "" && r.err == nil
}

func (r *limitFlags) fail(flag, text, want string) bool {
	r.err = fmt.Errorf("--%s %q: want %s", flag, text, want)
	return false
}

func (r *limitFlags) signed(flag string, field **int64) bool {
	text, ok := r.value(flag)
	if !ok {
		return false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return r.fail(flag, text, "a whole number")
	}
	*field = &n
	return true
}

func (r *limitFlags) unsigned(flag string, field **uint64) bool {
	text, ok := r.value(flag)
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return r.fail(flag, text, "a whole number, 0 or above")
	}
	*field = &n
	return true
}

func (r *limitFlags) weight(flag string, field **uint16) bool {
	text, ok := r.value(flag)
	if !ok {
		return false
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return r.fail(flag, text, "a whole number from 10 to 1000")
	}
	weight := uint16(n)
	*field = &weight
	return true
}

func (r *limitFlags) size(flag string, field **int64) bool {
	text, ok := r.value(flag)
	if !ok {
		return false
	}
	n, err := parseSize(text)
	if err != nil {
		return r.fail(flag, text, "a number of bytes, or one with a unit such as 512M, or -1 for unlimited")
	}
	*field = &n
	return true
}

var errNoSize = errors.New("not a size")

// parseSize reads a number of bytes as runc's users write it: digits, maybe with
// a fraction, and a unit of 1024 bytes to a power, of which the first letter
// counts: k, m, g, t, p; or -1.
func parseSize(text string) (int64, error) {
	if text == "-1" {
		return -1, nil
	}
	number := strings.TrimRight(text, "kKmMgGtTpPiIbB ")
	unit := strings.ToLower(strings.TrimPrefix(text[len(number):], " "))
	unit = strings.TrimSuffix(unit, "b")
	if len(unit) > 1 {
		unit = strings.TrimSuffix(unit, "i")
	}
	shift := 0
	if unit != "" {
		i := strings.Index("kmgtp", unit)
		if i < 0 || len(unit) != 1 {
			return 0, errNoSize
		}
		shift = 10 * (i + 1)
	}
	if n, err := strconv.ParseInt(number, 10, 64); err == nil && n >= 0 && number[0] != '+' {
		if n > math.MaxInt64>>shift {
			return 0, errNoSize
		}
		return n << shift, nil
	}
	whole, fraction, ok := strings.Cut(number, ".")
	if !ok || strings.Trim(whole+fraction, "0123456789") != "" || whole == "" || fraction == "" {
		return 0, errNoSize
	}
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || f*float64(int64(1)<<shift) >= 1<<63 {
		return 0, errNoSize
	}
	return int64(f * float64(int64(1)<<shift)), nil
}
