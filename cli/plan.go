package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/urfave/cli/v3"

	"berth/cgroups/devices"
	"berth/libcontainer"
	"berth/libcontainer/compile"
	"berth/libcontainer/plan"
	"berth/libcontainer/resctrl"
)

func (a *app) planCommand() *cli.Command {
	return &cli.Command{
		Name:      "plan",
		Usage:     "print what would be done for a bundle, in order, and why; nothing is done",
		ArgsUsage: "[ID]",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "bundle", Aliases: []string{"b"}, Value: ".", Usage: "the bundle's `FOLDER`"},
			&cli.StringFlag{Name: "config", Aliases: []string{"f"}, Usage: "another `FILE` than the bundle's config.json"},
			&cli.BoolFlag{Name: "no-pivot", Usage: "as for create"},
			&cli.BoolFlag{Name: "no-new-keyring", Usage: "as for create"},
			&cli.StringFlag{Name: "format", Value: "text", Usage: "`FORMAT`: text or json"},
		},
		Action: func(_ context.Context, c *cli.Command) error {
			id := "ID"
			if c.Args().Len() > 0 {
				id = c.Args().First()
			}
			bundle, err := libcontainer.LoadBundle(value[string](c, "bundle"), value[string](c, "config"))
			if err != nil {
				return err
			}
			out, err := a.runtime.Plan(&libcontainer.CreateOptions{ID: id, Bundle: bundle, Wait: true,
				NoPivot: value[bool](c, "no-pivot"), NoNewKeyring: value[bool](c, "no-new-keyring")})
			if err != nil {
				return err
			}
			for _, w := range out.Warnings {
				a.log.write("warning", w)
			}
			filter, err := deviceProgram(out)
			if err != nil {
				return err
			}
			switch f := value[string](c, "format"); f {
			case "text":
				return printPlan(os.Stdout, out, filter)
			case "json":
				return printJSON(os.Stdout, planJSON(out, filter))
			default:
				return fmt.Errorf("--format %q: use text or json", f)
			}
		},
	}
}

// printPlan prints a line for each operation; those that only run when the one
// above failed are indented. filter is the text of the device filter.
func printPlan(w io.Writer, out *compile.Output, filter []string) error {
	var b strings.Builder
	for _, f := range planCgroup(out) {
		fmt.Fprintf(&b, "cgroup %s  # %s\n", f.what, f.origin)
	}
	fmt.Fprintf(&b, "clone with %s\n", strings.Join(compile.CloneNames(out.Cloneflags), " "))
	for _, line := range filter {
		fmt.Fprintf(&b, "device filter  %s\n", line)
	}
	if out.IntelRdt != nil {
		fmt.Fprintf(&b, "%s  # linux.intelRdt\n", planRdt(out.IntelRdt))
	}
	for i := range out.NetDevices {
		fmt.Fprintf(&b, "move %s  # %s\n", out.NetDevices[i].String(), out.NetDevices[i].Origin)
	}
	for i := range out.Sources {
		fmt.Fprintf(&b, "open %s  # %s\n", out.Sources[i].String(), out.Sources[i].Origin)
	}
	orElse := 0
	for i := range out.Plan.Steps {
		s := &out.Plan.Steps[i]
		indent := ""
		if orElse > 0 {
			orElse--
			indent = "  "
		}
		fmt.Fprintf(&b, "%3d  %s%s%s  # %s%s\n", i, indent, s.Op.Code(), argsText(s.Op), s.Origin, tolerated(s))
		orElse = max(orElse, s.Else)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func argsText(op plan.Op) string {
	var b strings.Builder
	for _, a := range op.Args() {
		if text := argText(a.Value); text != "" {
			fmt.Fprintf(&b, " %s=%s", a.Name, text)
		}
	}
	return b.String()
}

// argText returns an argument as it is printed, empty where it says nothing.
func argText(v any) string {
	switch v := v.(type) {
	case string:
		if v == "" {
			return ""
		}
		if strings.ContainsAny(v, " \t\"") {
			return strconv.Quote(v)
		}
		return v
	case []string:
		if len(v) == 0 {
			return ""
		}
		return fmt.Sprintf("%q", v)
	case []byte:
		return fmt.Sprintf("%x", v)
	case bool:
		if !v {
			return ""
		}
		return "true"
	case uint64:
		return fmt.Sprintf("%#x", v)
	case plan.Slot:
		if v == plan.SlotNone {
			return ""
		}
	}
	return fmt.Sprint(v)
}

func tolerated(s *plan.Step) string {
	if len(s.OnError) == 0 {
		return ""
	}
	names := make([]string, len(s.OnError))
	for i, e := range s.OnError {
		names[i] = errnoName(e)
	}
	if s.Else == 0 {
		return "; goes on after " + strings.Join(names, ", ")
	}
	return fmt.Sprintf("; after %s the next %d instead", strings.Join(names, ", "), s.Else)
}

// planStep is an operation in the JSON form.
type planStep struct {
	Op      string         `json:"op"`
	Args    map[string]any `json:"args,omitempty"`
	Origin  string         `json:"origin"`
	OnError []string       `json:"onError,omitempty"`
	Else    int            `json:"else,omitempty"`
}

type planDocument struct {
	// Cgroup is what the parent does before the process exists.
	Cgroup []planWrite `json:"cgroup"`
	// Devices is the eBPF device filter, an instruction an entry.
	Devices []string `json:"devices,omitempty"`
	Clone   []string `json:"clone"`
	// IntelRdt is the group of resctrl that the process joins.
	IntelRdt *planWrite `json:"intelRdt,omitempty"`
	// NetDevices are moved at the point hooks.
	NetDevices []planWrite `json:"netDevices,omitempty"`
	// Sources are what the parent opens and hands down.
	Sources []planWrite `json:"sources,omitempty"`
	Steps   []planStep  `json:"steps"`
}

func planJSON(out *compile.Output, filter []string) *planDocument {
	doc := &planDocument{Cgroup: []planWrite{}, Devices: filter, Clone: compile.CloneNames(out.Cloneflags), Steps: make([]planStep, len(out.Plan.Steps))}
	for _, f := range planCgroup(out) {
		doc.Cgroup = append(doc.Cgroup, planWrite{f.what, f.origin})
	}
	if out.IntelRdt != nil {
		doc.IntelRdt = &planWrite{planRdt(out.IntelRdt), "linux.intelRdt"}
	}
	for i := range out.NetDevices {
		doc.NetDevices = append(doc.NetDevices, planWrite{"move " + out.NetDevices[i].String(), out.NetDevices[i].Origin.String()})
	}
	for i := range out.Sources {
		doc.Sources = append(doc.Sources, planWrite{"open " + out.Sources[i].String(), out.Sources[i].Origin.String()})
	}
	for i := range out.Plan.Steps {
		s := &out.Plan.Steps[i]
		step := planStep{Op: s.Op.Code().String(), Origin: s.Origin.String(), Else: s.Else}
		args := s.Op.Args()
		if len(args) > 0 {
			step.Args = make(map[string]any, len(args))
		}
		for _, a := range args {
			if named, ok := a.Value.(fmt.Stringer); ok {
				step.Args[a.Name] = named.String()
			} else {
				step.Args[a.Name] = a.Value
			}
		}
		for _, e := range s.OnError {
			step.OnError = append(step.OnError, errnoName(e))
		}
		doc.Steps[i] = step
	}
	return doc
}

// planWrite is a step of the parent's in the JSON form.
type planWrite struct {
	Step   string `json:"step"`
	Origin string `json:"origin"`
}

// hostStep is something that the parent does to the cgroup.
type hostStep struct{ what, origin string }

// planCgroup lists what is done to the cgroup before the process exists.
func planCgroup(out *compile.Output) []hostStep {
	var steps []hostStep
	if out.Cgroup == nil {
		return steps
	}
	for i := range out.Cgroup.Folders {
		steps = append(steps, hostStep{"mkdir " + out.Cgroup.Folders[i].Full(), out.Cgroup.Origin})
	}
	for i := range out.Limits.Writes {
		w := &out.Limits.Writes[i]
		steps = append(steps, hostStep{"write " + strconv.Quote(w.Value) + " to " + w.File, w.Origin})
	}
	return steps
}

// deviceProgram returns the eBPF device filter as text, or nothing on cgroup v1.
func deviceProgram(out *compile.Output) ([]string, error) {
	if out.Limits.Devices == nil {
		return nil, nil
	}
	text, err := devices.Text(devices.Program(out.Limits.Devices))
	if err != nil {
		return nil, err
	}
	return strings.Split(strings.TrimSpace(text), "\n"), nil
}

// planRdt says what is done with resctrl.
func planRdt(r *specs.LinuxIntelRdt) string {
	text := "resctrl group of the container's id"
	if r.ClosID != "" {
		text = "resctrl group " + r.ClosID
	}
	if lines := resctrl.Lines(r); len(lines) > 0 {
		text += " with " + strings.Join(lines, ", ")
	}
	if r.EnableMonitoring {
		text += ", monitored"
	}
	return text
}
