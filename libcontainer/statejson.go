package libcontainer

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"berth/cgroups/fs"
	"berth/cgroups/systemd"
	"berth/libcontainer/resctrl"
	"berth/spec"
)

// The state is JSON as encoding/json would write it, without what that costs a
// process that writes or reads one small object: about 0.1 ms, for a command that
// takes 1.5 ms. A field that is new in State belongs here too: a test says so.

// encode writes the state down.
func (s *State) encode() []byte {
	w := jsonWriter{b: make([]byte, 0, 2048)}
	w.b = append(w.b, '{')
	w.text("ociVersion", s.OCIVersion)
	w.text("id", s.ID)
	w.number("pid", int64(s.Pid))
	w.name("startTime")
	w.b = strconv.AppendUint(w.b, s.StartTime, 10)
	w.text("bundle", s.Bundle)
	w.text("rootfs", s.Rootfs)
	w.name("created")
	w.b = s.Created.AppendFormat(append(w.b, '"'), time.RFC3339Nano)
	w.b = append(w.b, '"')
	if len(s.Annotations) > 0 {
		w.name("annotations")
		w.b = append(w.b, '{')
		for _, k := range slices.Sorted(maps.Keys(s.Annotations)) {
			w.text(k, s.Annotations[k])
		}
		w.b = append(w.b, '}')
	}
	w.text("owner", s.Owner)
	if s.Cgroup != nil {
		w.cgroup(s.Cgroup)
	}
	if s.Unit != nil {
		w.unit(s.Unit)
	}
	if s.IntelRdt != nil {
		w.rdt(s.IntelRdt)
	}
	w.flag("noNewKeyring", s.NoNewKeyring)
	w.flag("poststop", s.Poststop)
	w.text("berth", s.Berth)
	return append(w.b, '}')
}

// decode reads a state. What this version did not write is encoding/json's, which
// also words what is wrong with it.
func (s *State) decode(data []byte) error {
	fresh := State{}
	if err := spec.Object(data, fresh.field); err == nil {
		*s = fresh
		return nil
	}
	*s = State{}
	return json.Unmarshal(slices.Clone(data), s) // a copy: data is on its reader's stack
}

func (s *State) field(d *spec.Decoder, name string) bool {
	switch name {
	case "ociVersion":
		d.String(&s.OCIVersion)
	case "id":
		d.String(&s.ID)
	case "pid":
		d.Int(&s.Pid)
	case "startTime":
		d.Uint64(&s.StartTime)
	case "bundle":
		d.String(&s.Bundle)
	case "rootfs":
		d.String(&s.Rootfs)
	case "created":
		var text string
		d.String(&text)
		var err error
		s.Created, err = time.Parse(time.RFC3339Nano, text)
		return err == nil
	case "annotations":
		d.StringMap(&s.Annotations)
	case "owner":
		d.String(&s.Owner)
	case "cgroup":
		if s.Cgroup != nil {
			return false // twice
		}
		s.Cgroup = &fs.State{}
		return d.Fields(func(name string) bool { return cgroupField(d, s.Cgroup, name) })
	case "unit":
		if s.Unit != nil {
			return false
		}
		s.Unit = &systemd.Unit{}
		return d.Fields(func(name string) bool { return unitField(d, s.Unit, name) })
	case "intelRdt":
		if s.IntelRdt != nil {
			return false
		}
		s.IntelRdt = &resctrl.Group{}
		return d.Fields(func(name string) bool { return rdtField(d, s.IntelRdt, name) })
	case "noNewKeyring":
		d.Bool(&s.NoNewKeyring)
	case "poststop":
		d.Bool(&s.Poststop)
	case "berth":
		d.String(&s.Berth)
	default:
		return false
	}
	return true
}

func cgroupField(d *spec.Decoder, s *fs.State, name string) bool {
	if name != "folders" || s.Folders != nil {
		return false
	}
	s.Folders = make([]fs.FolderState, 0, 12)
	return d.List(func() bool { return cgroupFolder(d, s) })
}

func cgroupFolder(d *spec.Decoder, s *fs.State) bool {
	var f fs.FolderState
	known := d.Fields(func(name string) bool {
		switch name {
		case "mountpoint":
			d.String(&f.Mountpoint)
		case "path":
			d.String(&f.Path)
		case "controllers":
			d.Strings(&f.Controllers)
		case "name":
			d.String(&f.Name)
		case "unified":
			d.Bool(&f.Unified)
		case "made":
			d.String(&f.Made)
		case "planned":
			d.Bool(&f.Planned)
		default:
			return false
		}
		return true
	})
	s.Folders = append(s.Folders, f)
	return known
}

func unitField(d *spec.Decoder, u *systemd.Unit, name string) bool {
	switch name {
	case "name":
		d.String(&u.Name)
	case "slice":
		d.String(&u.Slice)
	case "subgroup":
		d.String(&u.Subgroup)
	case "user":
		d.Bool(&u.User)
	default:
		return false
	}
	return true
}

func rdtField(d *spec.Decoder, g *resctrl.Group, name string) bool {
	switch name {
	case "dir":
		d.String(&g.Dir)
	case "own":
		d.Bool(&g.Own)
	case "monitor":
		d.String(&g.Monitor)
	default:
		return false
	}
	return true
}

// jsonWriter writes the members of an object.
type jsonWriter struct{ b []byte }

func (w *jsonWriter) cgroup(s *fs.State) {
	w.name("cgroup")
	w.b = append(w.b, `{"folders":[`...)
	for i := range s.Folders {
		f := &s.Folders[i]
		if i > 0 {
			w.b = append(w.b, ',')
		}
		w.b = append(w.b, '{')
		w.text("mountpoint", f.Mountpoint)
		w.text("path", f.Path)
		if len(f.Controllers) > 0 {
			w.name("controllers")
			for n, c := range f.Controllers {
				w.b = append(w.b, "[,"[min(n, 1)])
				w.quote(c)
			}
			w.b = append(w.b, ']')
		}
		w.optional("name", f.Name)
		w.flag("unified", f.Unified)
		w.optional("made", f.Made)
		w.flag("planned", f.Planned)
		w.b = append(w.b, '}')
	}
	w.b = append(w.b, "]}"...)
}

func (w *jsonWriter) unit(u *systemd.Unit) {
	w.name("unit")
	w.b = append(w.b, '{')
	w.text("name", u.Name)
	w.text("slice", u.Slice)
	w.optional("subgroup", u.Subgroup)
	w.flag("user", u.User)
	w.b = append(w.b, '}')
}

func (w *jsonWriter) rdt(g *resctrl.Group) {
	w.name("intelRdt")
	w.b = append(w.b, '{')
	w.text("dir", g.Dir)
	w.flag("own", g.Own)
	w.optional("monitor", g.Monitor)
	w.b = append(w.b, '}')
}

// name begins a member.
func (w *jsonWriter) name(name string) {
	if w.b[len(w.b)-1] != '{' {
		w.b = append(w.b, ',')
	}
	w.quote(name)
	w.b = append(w.b, ':')
}

func (w *jsonWriter) text(name, value string) {
	w.name(name)
	w.quote(value)
}

// optional leaves out what is empty, as flag does.
func (w *jsonWriter) optional(name, value string) {
	if value != "" {
		w.text(name, value)
	}
}

func (w *jsonWriter) flag(name string, value bool) {
	if value {
		w.name(name)
		w.b = append(w.b, "true"...)
	}
}

func (w *jsonWriter) number(name string, value int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, value, 10)
}

// quote writes a string. One with more than plain ASCII in it is
// encoding/json's.
func (w *jsonWriter) quote(s string) {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= utf8.RuneSelf {
			// A string cannot fail.
			quoted, _ := json.Marshal(s)
			w.b = append(w.b, quoted...)
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}
