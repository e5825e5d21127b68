package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"berth/seccomp"
)

// planDocument is what `berth plan --format json` prints.
type planDocument struct {
	Cgroup []struct {
		Step string `json:"step"`
	} `json:"cgroup"`
	Devices []string   `json:"devices"`
	Clone   []string   `json:"clone"`
	Steps   []planStep `json:"steps"`
}

type planStep struct {
	Op      string   `json:"op"`
	Args    planArgs `json:"args"`
	OnError []string `json:"onError"`
	Else    int      `json:"else"`
}

// planArgs are an operation's arguments; what is absent is zero.
type planArgs map[string]any

func (a planArgs) str(name string) string { s, _ := a[name].(string); return s }
func (a planArgs) flag(name string) bool  { b, _ := a[name].(bool); return b }

func (a planArgs) num(name string) uint64 {
	n, _ := a[name].(json.Number)
	v, _ := strconv.ParseUint(n.String(), 10, 64)
	return v
}

func (a planArgs) list(name string) []string {
	var out []string
	items, _ := a[name].([]any)
	for _, item := range items {
		s, _ := item.(string)
		out = append(out, s)
	}
	return out
}

// slot is the C variable of a descriptor.
func (a planArgs) slot(name string) string { return "slot_" + a.str(name) }

// floorSource writes steps.h for the floor: the C that does what the plan of a bundle says. hierarchies are those of
// the host; config is the bundle's, for its seccomp profile.
type floorSource struct {
	hierarchies []hierarchy
	config      []byte

	slots   []string // C variables of descriptors
	folders []string // of the cgroup
	tasks   int      // folders whose tasks file the child writes to, in order
	taskOf  []int    // which folder those are
	body    strings.Builder
	filter  string
}

// floorSteps returns steps.h for a plan. It fails on an operation that the floor does not know: a floor that leaves
// work out would be none.
func floorSteps(planJSON, config []byte, hierarchies []hierarchy) (string, error) {
	var plan planDocument
	d := json.NewDecoder(bytes.NewReader(planJSON))
	d.UseNumber()
	if err := d.Decode(&plan); err != nil {
		return "", fmt.Errorf("plan: %w", err)
	}
	f := &floorSource{hierarchies: hierarchies, config: config}
	cgroup, err := f.cgroup(&plan)
	if err != nil {
		return "", err
	}
	orElse := 0
	for i := range plan.Steps {
		s := &plan.Steps[i]
		line, err := f.step(s)
		if err != nil {
			return "", err
		}
		f.add(s, line)
		if orElse > 0 {
			if orElse--; orElse == 0 {
				f.body.WriteString("\t}\n")
			}
		}
		if s.Else > 0 {
			orElse = s.Else
		}
	}
	var b strings.Builder
	b.WriteString(cgroup)
	fmt.Fprintf(&b, "#define CLONE_FLAGS (%s)\n", strings.Join(append(plan.Clone, "0ull"), " | "))
	for _, s := range f.slots {
		fmt.Fprintf(&b, "static int %s = -1;\n", s)
	}
	b.WriteString(f.filter)
	if err := deviceProgram(&b, plan.Devices); err != nil {
		return "", err
	}
	fmt.Fprintf(&b, "static void steps(void)\n{\n%s}\n", f.body.String())
	return b.String(), nil
}

// deviceProgram writes the eBPF device filter, empty for none.
func deviceProgram(b *strings.Builder, text []string) error {
	var code []byte
	if len(text) > 0 {
		var err error
		if code, err = assembleFilter(text); err != nil {
			return err
		}
	}
	b.WriteString("static const uint64_t device_filter[] = {")
	for c := code; len(c) >= 8; c = c[8:] {
		fmt.Fprintf(b, "%#xull, ", binary.NativeEndian.Uint64(c))
	}
	fmt.Fprintf(b, "0};\n#define DEVICE_FILTER %d\n", len(code)/8)
	return nil
}

// add appends the C of a step: as it is when it may fail, with its alternative, or so that its failure ends all.
func (f *floorSource) add(s *planStep, line string) {
	switch {
	case line == "":
	case s.Else > 0:
		fmt.Fprintf(&f.body, "\tif (%s < 0) {\n", line)
	case len(s.OnError) > 0:
		fmt.Fprintf(&f.body, "\t(void)%s;\n", line)
	default:
		fmt.Fprintf(&f.body, "\tNEED(%s);\n", line)
	}
}

// use declares a slot's variable at its first use.
func (f *floorSource) use(slot string) string {
	if !slices.Contains(f.slots, slot) {
		f.slots = append(f.slots, slot)
	}
	return slot
}

// cgroup lists the folders and limits that the parent makes.
func (f *floorSource) cgroup(plan *planDocument) (string, error) {
	var limits []string
	for _, c := range plan.Cgroup {
		if path, ok := strings.CutPrefix(c.Step, "mkdir "); ok {
			f.folders = append(f.folders, path)
			continue
		}
		value, file, err := parseWrite(c.Step)
		if err != nil {
			return "", err
		}
		folder, err := f.folderOf(file)
		if err != nil {
			return "", err
		}
		limits = append(limits, fmt.Sprintf("{%d, %s, %s}", folder, cQuote(file), cQuote(value)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "static int tasks[%d];\n", max(len(f.folders), 1))
	b.WriteString("static const struct folder folders[] = {\n")
	for i, path := range f.folders {
		h, err := f.hierarchyOf(path)
		if err != nil {
			return "", err
		}
		cpus, mems, err := cpusetOf(h, path)
		if err != nil {
			return "", err
		}
		unified := 0
		if h.unified {
			unified = 1
		} else {
			f.taskOf = append(f.taskOf, i)
		}
		fmt.Fprintf(&b, "\t{%s, %s, %s, %d},\n", cQuote(path), cpus, mems, unified)
	}
	fmt.Fprintf(&b, "\t{0}};\nstatic const struct limit limits[] = {%s};\n", strings.Join(append(limits, "{0}"), ", "))
	return b.String(), nil
}

// parseWrite takes `write "VALUE" to FILE` apart.
func parseWrite(step string) (value, file string, err error) {
	rest, ok := strings.CutPrefix(step, "write ")
	quoted, err := strconv.QuotedPrefix(rest)
	if err == nil {
		value, err = strconv.Unquote(quoted)
	}
	file, to := strings.CutPrefix(rest[len(quoted):], " to ")
	if !ok || err != nil || !to {
		return "", "", fmt.Errorf("the plan's cgroup step %q is none that the floor knows", step)
	}
	return value, file, nil
}

// folderOf finds the folder that has a control file, whose name begins with the controller's, and returns its index.
func (f *floorSource) folderOf(file string) (int, error) {
	controller, _, _ := strings.Cut(file, ".")
	unified := -1
	for i, path := range f.folders {
		h, err := f.hierarchyOf(path)
		if err != nil {
			return 0, err
		}
		if h.unified {
			unified = i
		} else if slices.Contains(h.controllers, controller) {
			return i, nil
		}
	}
	if unified < 0 {
		return 0, fmt.Errorf("the plan writes %s, and no cgroup hierarchy has the controller %s", file, controller)
	}
	return unified, nil
}

func (f *floorSource) hierarchyOf(path string) (*hierarchy, error) {
	var best *hierarchy
	for i := range f.hierarchies {
		h := &f.hierarchies[i]
		if strings.HasPrefix(path, h.mountpoint+"/") && (best == nil || len(h.mountpoint) > len(best.mountpoint)) {
			best = h
		}
	}
	if best == nil {
		return nil, fmt.Errorf("the plan's cgroup folder %s lies in no mounted hierarchy", path)
	}
	return best, nil
}

// cpusetOf returns what a new v1 cpuset has to be given, as C: what the one above it has.
func cpusetOf(h *hierarchy, path string) (cpus, mems string, err error) {
	if h.unified || !slices.Contains(h.controllers, "cpuset") {
		return "NULL", "NULL", nil
	}
	var values [2]string
	for i, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		text, err := os.ReadFile(filepath.Join(filepath.Dir(path), file))
		if err != nil {
			return "", "", err
		}
		values[i] = cQuote(strings.TrimSpace(string(text)))
	}
	return values[0], values[1], nil
}

// step returns an operation as a C expression that is below 0 on failure, or nothing where the floor has nothing to
// do: what berth does there is to be sure, to explain or to be talked to.
func (f *floorSource) step(s *planStep) (string, error) {
	a := s.Args
	switch s.Op {
	case "sync", "open_file", "find_exec", "wait_start", "undumpable":
		return "", f.sync(s)
	case "affinity":
		if a.str("cpus") != "" {
			return "", fmt.Errorf("the floor sets no CPU affinity but to all")
		}
		return "op_affinity()", nil
	case "own_stdio":
		// Of the descriptors that the bench hands over none is somebody else's.
		return "", nil
	case "seccomp":
		return f.seccomp()
	case "write_slot":
		return f.writeSlot(a)
	case "execve":
		return f.execve(s)
	case "fsmount":
		return fmt.Sprintf("op_fsmount(%s, %s, %s, %#xu, &%s)", cQuote(a.str("fstype")), cQuoteOrNull(a.str("source")),
			fsParams(a.list("params")), a.num("attr"), f.use(a.slot("into"))), nil
	case "mount_setattr":
		if a.str("userns") != "none" {
			return "", fmt.Errorf("the floor knows no id-mapped mounts")
		}
		return fmt.Sprintf("op_mount_setattr(%s, %s, %#xull, %#xull, %#xull)", f.use(a.slot("mount")), recursive(a),
			a.num("set"), a.num("clear"), a.num("propagation")&^unix.MS_REC), nil
	case "open_tree":
		return f.openTree(a)
	case "attach":
		file := 0
		if a.str("create") == "file" {
			file = 1
		}
		return fmt.Sprintf("op_attach(%s, %s, %s, %d)", f.use(a.slot("mount")), f.use(a.slot("root")),
			cQuote(a.str("target")), file), nil
	case "setgroups":
		return setgroups(a)
	}
	return f.plainStep(s)
}

// plainStep is step for the operations that are one call with their arguments in order.
func (f *floorSource) plainStep(s *planStep) (string, error) {
	a := s.Args
	root := func() string { return f.use(a.slot("root")) }
	switch s.Op {
	case "set_name":
		return fmt.Sprintf("prctl(PR_SET_NAME, %s, 0, 0, 0)", cQuote(a.str("name"))), nil
	case "setsid":
		return "setsid()", nil
	case "propagation":
		return fmt.Sprintf("op_propagation(%s, %#xul)", cQuote(a.str("path")), a.num("flags")), nil
	case "root_propagation":
		return fmt.Sprintf(`op_propagation("/", %#xul)`, a.num("flags")), nil
	case "root_open":
		return fmt.Sprintf("op_root_open(%s, %s, &%s)", cQuote(a.str("path")), recursive(a), f.use(a.slot("into"))), nil
	case "open_null":
		return fmt.Sprintf(`op_open_tree(AT_FDCWD, "/dev/null", AT_SYMLINK_NOFOLLOW, &%s)`, f.use(a.slot("into"))), nil
	case "open_path":
		return fmt.Sprintf("op_open_path(%s, %s, &%s)", root(), cQuote(a.str("path")), f.use(a.slot("into"))), nil
	case "mknod":
		return fmt.Sprintf("op_mknod(%s, %s, %#o, %#x)", root(), cQuote(a.str("path")), a.num("mode"), a.num("dev")), nil
	case "mkdir":
		return fmt.Sprintf("mkdirat(%s, %s, %#o)", root(), cQuote(strings.TrimPrefix(a.str("path"), "/")), a.num("mode")), nil
	case "symlink":
		return fmt.Sprintf("op_symlink(%s, %s, %s)", root(), cQuote(a.str("path")), cQuote(a.str("to"))), nil
	case "mask":
		return fmt.Sprintf("op_mask(%s, %s, &%s, &%s)", root(), cQuote(a.str("path")), f.use(a.slot("null")), f.use(a.slot("dir"))), nil
	case "readonly":
		return fmt.Sprintf("op_readonly(%s, %s)", root(), cQuote(a.str("path"))), nil
	case "pivot_root":
		return fmt.Sprintf("op_pivot_root(%s)", root()), nil
	case "write_proc":
		return fmt.Sprintf("write_file(%s, %s, %s)", f.use(a.slot("proc")), cQuote(a.str("path")), cQuote(a.str("data"))), nil
	case "loopback":
		return "op_loopback()", nil
	case "sethostname", "setdomainname":
		return fmt.Sprintf("%s(%s, %d)", s.Op, cQuote(a.str("name")), len(a.str("name"))), nil
	case "keyring":
		return fmt.Sprintf("op_keyring(%s)", cQuote(a.str("name"))), nil
	case "chdir":
		if a.flag("again") {
			return "", nil
		}
		return fmt.Sprintf("chdir(%s)", cQuote(a.str("path"))), nil
	case "rlimit":
		return fmt.Sprintf("op_rlimit(%d, %#xull, %#xull)", a.num("resource"), a.num("soft"), a.num("hard")), nil
	case "no_new_privs":
		return "prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)", nil
	case "umask":
		return fmt.Sprintf("(int)umask(%#o)", a.num("mask")), nil
	case "bounding":
		return fmt.Sprintf("op_bounding(%#xull)", a.num("keep")), nil
	case "setids":
		return fmt.Sprintf("op_setids(%d, %d)", a.num("uid"), a.num("gid")), nil
	case "capset":
		return fmt.Sprintf("op_capset(%#xull, %#xull, %#xull)", a.num("effective"), a.num("permitted"), a.num("inheritable")), nil
	case "ambient":
		return fmt.Sprintf("op_ambient(%#xull)", a.num("set")), nil
	case "close_slot":
		return fmt.Sprintf("close(%s)", f.use(a.slot("slot"))), nil
	}
	return "", fmt.Errorf("the plan has the operation %s, which the floor does not know", s.Op)
}

// sync notes which tasks files come at the meeting point for the cgroup; the floor has them open already.
func (f *floorSource) sync(s *planStep) error {
	if s.Op != "sync" || s.Args.str("point") != "cgroup" {
		return nil
	}
	if n := int(s.Args.num("fds")); n != len(f.taskOf) {
		return fmt.Errorf("the plan expects %d tasks files, and %d of its cgroup folders are of v1 hierarchies", n, len(f.taskOf))
	}
	return nil
}

func (f *floorSource) writeSlot(a planArgs) (string, error) {
	if !strings.HasPrefix(a.str("to"), "cgroup") || f.tasks >= len(f.taskOf) {
		return "", fmt.Errorf("the plan writes to the slot %s, which the floor does not know", a.str("to"))
	}
	folder := f.taskOf[f.tasks]
	f.tasks++
	return fmt.Sprintf("op_write_slot(&tasks[%d], %s)", folder, cQuote(a.str("data"))), nil
}

func (f *floorSource) openTree(a planArgs) (string, error) {
	if a.flag("in_root") {
		return "", fmt.Errorf("the floor knows no bind mounts from inside the rootfs")
	}
	from, flags := "AT_FDCWD", recursive(a)
	if a.str("from") != "none" {
		from = f.use(a.slot("from"))
	}
	if a.flag("nofollow") {
		flags += " | AT_SYMLINK_NOFOLLOW"
	}
	path := cQuote(a.str("path"))
	if i := slices.Index(f.folders, a.str("path")); i >= 0 {
		path = fmt.Sprintf(`in_folder(%d, "")`, i)
	}
	return fmt.Sprintf("op_open_tree(%s, %s, %s, &%s)", from, path, flags, f.use(a.slot("into"))), nil
}

// execve tries each candidate that find_exec named, as execvp(3) does.
func (f *floorSource) execve(s *planStep) (string, error) {
	argv, envp := s.Args.list("argv"), s.Args.list("envp")
	if len(argv) == 0 || !strings.HasPrefix(argv[0], "/") {
		return "", fmt.Errorf("the floor wants an absolute process.args[0], not %q", argv)
	}
	if s.Args.flag("late") {
		envp = append(envp, "HOME=/")
	}
	return fmt.Sprintf("execve(%s, (char *[]){%s, NULL}, (char *[]){%s, NULL})", cQuote(argv[0]), cList(argv), cList(envp)), nil
}

// seccomp compiles the profile into the floor: what runtimes get from their caches.
func (f *floorSource) seccomp() (string, error) {
	var config specs.Spec
	if err := json.Unmarshal(f.config, &config); err != nil {
		return "", err
	}
	program, err := seccomp.Compile(config.Linux.Seccomp, nil)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("static const struct sock_filter filter[] = {\n")
	for c := program.Filter; len(c) >= 8; c = c[8:] {
		fmt.Fprintf(&b, "\t{%d, %d, %d, %#xu},\n", binary.NativeEndian.Uint16(c), c[2], c[3], binary.NativeEndian.Uint32(c[4:]))
	}
	b.WriteString("};\n")
	f.filter = b.String()
	return fmt.Sprintf("op_seccomp(%#xu, filter, %d)", program.Flags, len(program.Filter)/8), nil
}

func setgroups(a planArgs) (string, error) {
	// encoding/json writes a []byte as base64, and so reads it.
	var gids []byte
	text, err := json.Marshal(a.str("gids"))
	if err == nil {
		err = json.Unmarshal(text, &gids)
	}
	if err != nil {
		return "", fmt.Errorf("the plan's setgroups: %w", err)
	}
	list := []string{}
	for ; len(gids) >= 4; gids = gids[4:] {
		list = append(list, strconv.FormatUint(uint64(binary.NativeEndian.Uint32(gids)), 10))
	}
	return fmt.Sprintf("(int)syscall(SYS_setgroups, %d, (gid_t[]){%s})", len(list), strings.Join(append(list, "0"), ", ")), nil
}

func recursive(a planArgs) string {
	if a.flag("recursive") {
		return "TREE_RECURSIVE"
	}
	return "0"
}

// fsParams turns key=value words into C: key, value, key, value, …, NULL.
func fsParams(params []string) string {
	var words []string
	for _, p := range params {
		if key, value, ok := strings.Cut(p, "="); ok {
			words = append(words, cQuote(key), cQuote(value))
		} else {
			words = append(words, cQuote(key), "NULL")
		}
	}
	return fmt.Sprintf("(const char *const[]){%s}", strings.Join(append(words, "NULL"), ", "))
}

func cList(list []string) string {
	var words []string
	for _, s := range list {
		words = append(words, cQuote(s))
	}
	return strings.Join(words, ", ")
}

func cQuoteOrNull(s string) string {
	if s == "" {
		return "NULL"
	}
	return cQuote(s)
}

// cQuote writes a string as C does. Octal escapes have a fixed length, hexadecimal ones run on.
func cQuote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\' || c == '?':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			fmt.Fprintf(&b, "\\%03o", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
