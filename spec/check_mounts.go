package spec

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// mounts checks mounts (config.md, Mounts). What an option means to a
// filesystem is the filesystem's business.
func (c *checker) mounts() {
	mounts := c.spec.Mounts
	if len(mounts) > 0 && !c.has(specs.MountNamespace) {
		c.problem("mounts", "would be made on the host", needs(specs.MountNamespace))
	}
	for i := range mounts {
		c.mount(&mounts[i], i)
	}
}

// CheckMounts checks mounts that are added to a container of this configuration.
func CheckMounts(s *specs.Spec, mounts []specs.Mount) (Problems, []string) {
	more := *s
	more.Mounts = mounts
	c := checker{spec: &more}
	c.mounts()
	return c.problems, c.warnings
}

func (c *checker) mount(m *specs.Mount, i int) {
	problem := func(field, cause, fix string) {
		c.problem(item("mounts", i)+field, c.mountName(m)+cause, fix)
	}
	switch {
	case m.Destination == "":
		problem(".destination", "is missing", "name the path in the container to mount on")
	case m.Destination[0] != '/':
		c.warn(item("mounts", i)+".destination", quote(m.Destination)+" is relative, which is deprecated: taken from /")
	}
	for _, s := range [...]struct{ field, value string }{{".destination", m.Destination}, {".source", m.Source}, {".type", m.Type}} {
		if strings.IndexByte(s.value, 0) >= 0 {
			c.text(item("mounts", i)+s.field, s.value)
		}
	}
	var bind, remount bool
	idmap := -1
	for j, option := range m.Options {
		switch option {
		case "bind", "rbind":
			bind = true
		case "remount":
			remount = true
		default:
			if strings.IndexByte(option, 0) >= 0 {
				c.text(item(item("mounts", i)+".options", j), option)
			}
			if strings.HasPrefix(option, "idmap") || strings.HasPrefix(option, "ridmap") {
				if _, ok, _ := ParseIDMap(option); ok {
					idmap = j
				}
			}
		}
	}
	switch {
	case bind && m.Source == "" && !remount:
		problem(".source", "is missing, and a bind mount needs one", "name the file or folder of the host to bind")
	case bind || remount:
	case m.Type == "":
		problem(".type", "is missing", "name a filesystem, such as tmpfs, or make it a bind mount with the option bind or rbind")
	case m.Type == "bind" || m.Type == "none":
		problem(".type", quote(m.Type)+" is no filesystem, and no option makes this a bind mount", "add bind or rbind to options")
	}
	c.mountMappings(m, i, idmap, bind)
}

// mountName says which mount, for those who do not like to count.
func (c *checker) mountName(m *specs.Mount) string {
	if m.Destination == "" {
		return ""
	}
	return "(" + plain(m.Destination) + ") "
}

// mountMappings checks what an idmapped mount is mapped by; option is the place
// of the word that asks for it, or -1.
func (c *checker) mountMappings(m *specs.Mount, i, option int, bind bool) {
	uids, gids := len(m.UIDMappings) > 0, len(m.GIDMappings) > 0
	if option < 0 && !uids && !gids {
		return
	}
	c.idMappings(item("mounts", i)+".uidMappings", m.UIDMappings)
	c.idMappings(item("mounts", i)+".gidMappings", m.GIDMappings)
	own := false // the word itself has mappings
	if option >= 0 {
		place := item(item("mounts", i)+".options", option)
		word, _, why := ParseIDMap(m.Options[option])
		if why != "" {
			c.problem(place, quote(m.Options[option])+": "+why, "write it as in idmap=uids=0-100000-65536;gids=0-100000-65536")
			return
		}
		a, b := word.mappings()
		c.idMappings(place+" uids", a)
		c.idMappings(place+" gids", b)
		own = len(a) > 0
		if own && (uids || gids) {
			c.problem(place, "has ranges, and the mount has uidMappings and gidMappings", "keep one of them")
		}
		for _, r := range append(word.UIDs, word.GIDs...) {
			if r.Relative && !c.has(specs.UserNamespace) {
				c.problem(place, "a range that begins with @ is relative to the container's user namespace, and it has none", "take the @ off")
				break
			}
		}
	}
	switch {
	case !bind:
		c.problem(item("mounts", i), c.mountName(m)+"is to be idmapped, and only bind mounts can be", "add bind to options, or take the mappings out")
	case uids && !gids:
		c.problem(item("mounts", i)+".gidMappings", "is missing, and there are uidMappings", "give both or none")
	case gids && !uids:
		c.problem(item("mounts", i)+".uidMappings", "is missing, and there are gidMappings", "give both or none")
	case !uids && !own && !c.has(specs.UserNamespace):
		c.problem(item("mounts", i)+".options", "the mount is to be idmapped, and neither it nor a user namespace has mappings", "give it uidMappings and gidMappings")
	}
}

// hiddenPaths checks maskedPaths and readonlyPaths.
func (c *checker) hiddenPaths(field string, paths []string) {
	if len(paths) == 0 {
		return
	}
	if !c.has(specs.MountNamespace) {
		c.problem(field, "would change the host's mounts", needs(specs.MountNamespace))
	}
	for i, p := range paths {
		switch {
		case p == "":
			c.problem(item(field, i), "is empty", "name an absolute path in the container, or remove it")
		case p[0] != '/':
			c.warn(item(field, i), quote(p)+" is relative: taken from /")
		}
		if strings.IndexByte(p, 0) >= 0 {
			c.text(item(field, i), p)
		}
	}
}

// rootfsPropagation checks the word; the recursive ones are not in the
// runtime-spec, but engines write them.
func (c *checker) rootfsPropagation(word string) {
	switch word {
	case "":
		return
	case "shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable":
	default:
		c.problem("rootfsPropagation", quote(word)+" is no mount propagation", "use "+wordList("shared", "slave", "private", "unbindable"))
	}
	if !c.has(specs.MountNamespace) {
		c.problem("rootfsPropagation", "would change the host's mounts", needs(specs.MountNamespace))
	}
}

// cgroupsPath checks the path. The form slice:prefix:name of the systemd
// driver passes too.
func (c *checker) cgroupsPath(path string) {
	c.text("cgroupsPath", path)
	if slices.Contains(strings.Split(path, "/"), "..") {
		c.problem("cgroupsPath", quote(path)+" climbs with ..", "name the cgroup without it")
	}
}
