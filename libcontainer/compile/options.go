package compile

import (
	"slices"
	"strings"

	"berth/spec"
)

// options is what a mount's option words say, sorted by what they act on.
type options struct {
	bind, rbind bool

	set, clear       uint64 // MOUNT_ATTR_* bits of the mount
	recSet, recClear uint64 // the same for the mount and all below it
	propagation      []uint64

	params []string // of the file system, for fsconfig(2)
	// legacy holds MS_* bits that only mount(2) has: one of them, and the mount
	// is made by mount(2).
	legacy uint64
	// super holds the MS_* bits that params say in words, for mount(2).
	super uint64

	copyUp      bool
	copySymlink bool
	srcNofollow bool
	dstNofollow bool
	idmap       *spec.IDMap // what the word says, or nil
}

// attrWord returns the MOUNT_ATTR_* bits that a word sets and clears. Each has
// a recursive form with an r in front; config.md, "Linux mount options".
func attrWord(word string) (set, clear uint64, ok bool) {
	switch word {
	case "ro":
		return attrRdonly, 0, true
	case "rw":
		return 0, attrRdonly, true
	case "nosuid":
		return attrNosuid, 0, true
	case "suid":
		return 0, attrNosuid, true
	case "nodev":
		return attrNodev, 0, true
	case "dev":
		return 0, attrNodev, true
	case "noexec":
		return attrNoexec, 0, true
	case "exec":
		return 0, attrNoexec, true
	case "nodiratime":
		return attrNodiratime, 0, true
	case "diratime":
		return 0, attrNodiratime, true
	case "nosymfollow":
		return attrNosymfollow, 0, true
	case "symfollow":
		return 0, attrNosymfollow, true
	// The times are one field of the attributes: setting one clears all, and
	// relatime is the value 0.
	case "noatime":
		return attrNoatime, attrAtimeMask, true
	case "strictatime":
		return attrStrictatime, attrAtimeMask, true
	case "relatime", "atime", "nostrictatime":
		return 0, attrAtimeMask, true
	case "norelatime":
		return attrStrictatime, attrAtimeMask, true
	}
	return 0, 0, false
}

// propagationWord returns the MS_* bits of a propagation word, or 0.
func propagationWord(word string) uint64 {
	switch word {
	case "private":
		return msPrivate
	case "rprivate":
		return msPrivate | msRec
	case "shared":
		return msShared
	case "rshared":
		return msShared | msRec
	case "slave":
		return msSlave
	case "rslave":
		return msSlave | msRec
	case "unbindable":
		return msUnbindable
	case "runbindable":
		return msUnbindable | msRec
	}
	return 0
}

// rootPropagation returns the flags for linux.rootfsPropagation; slaves of the
// host's mounts are what containers get by default, so that an unmount on the
// host reaches them.
func rootPropagation(word string) (uint64, bool) {
	if word == "" {
		return msSlave | msRec, true
	}
	f := propagationWord(word)
	known := f != 0
	if f&msUnbindable != 0 {
		// The rootfs could not be cloned; it becomes so at the end.
		f = msPrivate
	}
	return f | msRec, known
}

// parseOptions sorts the words. Those that are no mount option are the file
// system's; a bind has none, so there they are unknown.
func parseOptions(words []string) options {
	var o options
	for _, w := range words {
		if set, clear, ok := attrWord(w); ok {
			o.set, o.clear = o.set&^clear|set, o.clear&^(set&^attrAtimeMask)|clear
			continue
		}
		if rest, ok := strings.CutPrefix(w, "r"); ok {
			if set, clear, ok := attrWord(rest); ok {
				o.recSet, o.recClear = o.recSet&^clear|set, o.recClear&^(set&^attrAtimeMask)|clear
				continue
			}
		}
		if f := propagationWord(w); f != 0 {
			o.propagation = append(o.propagation, f)
			continue
		}
		o.word(w)
	}
	return o
}

func (o *options) word(w string) {
	switch w {
	case "bind":
		o.bind = true
	case "rbind":
		o.bind, o.rbind = true, true
	case "defaults", "loud", "":
	case "sync":
		o.param(w, msSynchronous)
	case "dirsync":
		o.param(w, msDirsync)
	case "mand":
		o.param(w, msMandlock)
	case "lazytime":
		o.param(w, msLazytime)
	case "async", "nomand", "nolazytime":
		o.params = append(o.params, w)
	case "silent":
		o.legacy |= msSilent
	case "acl":
		o.legacy |= msPosixacl
	case "iversion":
		o.legacy |= msIversion
	case "noacl", "noiversion":
	case "remount":
		o.legacy |= msRemount
	case "tmpcopyup":
		o.copyUp = true
	case "copy-symlink":
		o.copySymlink = true
	case "src-nofollow":
		o.srcNofollow = true
	case "dest-nofollow":
		o.dstNofollow = true
	default:
		if m, ok, _ := spec.ParseIDMap(w); ok {
			o.idmap = &m
			return
		}
		o.params = append(o.params, w)
	}
}

func (o *options) param(word string, ms uint64) {
	o.params = append(o.params, word)
	o.super |= ms
}

// mountFlags returns the MS_* bits that say for mount(2) what the options say.
func (o *options) mountFlags() uint64 {
	f := o.legacy | o.super
	for _, b := range []struct{ attr, ms uint64 }{
		{attrRdonly, msRdonly}, {attrNosuid, msNosuid}, {attrNodev, msNodev}, {attrNoexec, msNoexec},
		{attrNodiratime, msNodiratime}, {attrNosymfollow, msNosymfollow},
	} {
		if o.set&b.attr != 0 {
			f |= b.ms
		}
	}
	switch o.set & attrAtimeMask {
	case attrNoatime:
		f |= msNoatime
	case attrStrictatime:
		f |= msStrictatime
	}
	return f
}

// superWord says whether a word of the params acts on a file system as a whole
// and is known to mount(8).
func superWord(w string) bool {
	switch w {
	case "sync", "dirsync", "mand", "lazytime", "async", "nomand", "nolazytime":
		return true
	}
	return false
}

// dropSuper forgets what acts on a file system as a whole, a parameter with a
// value such as "size=1k" too, and says whether there was anything: mount(2)
// passes over it for a bind. Any other word may be a slip, and stays.
func (o *options) dropSuper() bool {
	own := len(o.params)
	o.params = slices.DeleteFunc(o.params, func(w string) bool { return superWord(w) || strings.ContainsRune(w, '=') })
	dropped := len(o.params) < own || o.legacy&(msPosixacl|msIversion) != 0
	o.legacy, o.super = 0, 0
	return dropped
}

// data returns the file system's own options as mount(2) takes them.
func (o *options) data() string {
	own := make([]string, 0, len(o.params))
	for _, p := range o.params {
		if !superWord(p) {
			own = append(own, p)
		}
	}
	return strings.Join(own, ",")
}
