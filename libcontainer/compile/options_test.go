package compile

import (
	"reflect"
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"berth/spec"
)

// specWords are the option words of config.md, "Linux mount options", and what
// each alone means.
func specWords() map[string]options {
	return map[string]options{
		"bind":     {bind: true},
		"rbind":    {bind: true, rbind: true},
		"defaults": {},
		"loud":     {},

		"ro": {set: attrRdonly}, "rw": {clear: attrRdonly},
		"nosuid": {set: attrNosuid}, "suid": {clear: attrNosuid},
		"nodev": {set: attrNodev}, "dev": {clear: attrNodev},
		"noexec": {set: attrNoexec}, "exec": {clear: attrNoexec},
		"nodiratime": {set: attrNodiratime}, "diratime": {clear: attrNodiratime},
		"nosymfollow": {set: attrNosymfollow}, "symfollow": {clear: attrNosymfollow},
		"noatime":       {set: attrNoatime, clear: attrAtimeMask},
		"atime":         {clear: attrAtimeMask},
		"relatime":      {clear: attrAtimeMask},
		"norelatime":    {set: attrStrictatime, clear: attrAtimeMask},
		"strictatime":   {set: attrStrictatime, clear: attrAtimeMask},
		"nostrictatime": {clear: attrAtimeMask},

		"rro": {recSet: attrRdonly}, "rrw": {recClear: attrRdonly},
		"rnosuid": {recSet: attrNosuid}, "rsuid": {recClear: attrNosuid},
		"rnodev": {recSet: attrNodev}, "rdev": {recClear: attrNodev},
		"rnoexec": {recSet: attrNoexec}, "rexec": {recClear: attrNoexec},
		"rnodiratime": {recSet: attrNodiratime}, "rdiratime": {recClear: attrNodiratime},
		"rnosymfollow": {recSet: attrNosymfollow}, "rsymfollow": {recClear: attrNosymfollow},
		"rnoatime":       {recSet: attrNoatime, recClear: attrAtimeMask},
		"ratime":         {recClear: attrAtimeMask},
		"rrelatime":      {recClear: attrAtimeMask},
		"rnorelatime":    {recSet: attrStrictatime, recClear: attrAtimeMask},
		"rstrictatime":   {recSet: attrStrictatime, recClear: attrAtimeMask},
		"rnostrictatime": {recClear: attrAtimeMask},

		"private": {propagation: []uint64{msPrivate}}, "rprivate": {propagation: []uint64{msPrivate | msRec}},
		"shared": {propagation: []uint64{msShared}}, "rshared": {propagation: []uint64{msShared | msRec}},
		"slave": {propagation: []uint64{msSlave}}, "rslave": {propagation: []uint64{msSlave | msRec}},
		"unbindable":  {propagation: []uint64{msUnbindable}},
		"runbindable": {propagation: []uint64{msUnbindable | msRec}},

		// Of the file system, not the mount: fsconfig(2) takes the words.
		"sync": {params: []string{"sync"}, super: msSynchronous}, "async": {params: []string{"async"}},
		"dirsync": {params: []string{"dirsync"}, super: msDirsync},
		"mand":    {params: []string{"mand"}, super: msMandlock}, "nomand": {params: []string{"nomand"}},
		"lazytime": {params: []string{"lazytime"}, super: msLazytime}, "nolazytime": {params: []string{"nolazytime"}},

		// Only mount(2) has these.
		"silent":   {legacy: msSilent},
		"iversion": {legacy: msIversion}, "noiversion": {},
		"remount": {legacy: msRemount},

		"tmpcopyup": {copyUp: true},
		"idmap":     {idmap: &spec.IDMap{}}, "ridmap": {idmap: &spec.IDMap{Recursive: true}},
	}
}

func TestEachOptionWord(t *testing.T) {
	words := specWords()
	// Beyond the table, as runc or crun have them.
	words["acl"], words["noacl"] = options{legacy: msPosixacl}, options{}
	words["copy-symlink"] = options{copySymlink: true}
	words["src-nofollow"], words["dest-nofollow"] = options{srcNofollow: true}, options{dstNofollow: true}
	idRange := func(relative bool, first, to, size uint32) spec.IDRange {
		return spec.IDRange{LinuxIDMapping: specs.LinuxIDMapping{ContainerID: first, HostID: to, Size: size}, Relative: relative}
	}
	words["idmap=uids=0-1-10#20-31-10;gids=@0-1-10"] = options{idmap: &spec.IDMap{
		UIDs: []spec.IDRange{idRange(false, 0, 1, 10), idRange(false, 20, 31, 10)}, GIDs: []spec.IDRange{idRange(true, 0, 1, 10)}}}
	words[""] = options{}
	// All else is the file system's own.
	for _, w := range []string{"size=64k", "mode=755", "lowerdir=/a:/b", "nr_inodes=1", "rnothing", "ROBUST", "ro=1"} {
		words[w] = options{params: []string{w}}
	}
	for word, want := range words {
		if got := parseOptions([]string{word}); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", word, got, want)
		}
	}
}

// Of two words about one thing the later holds, whichever they are; words about
// different things leave each other alone.
func TestLaterWordsOverride(t *testing.T) {
	for words, want := range map[string]options{
		"ro rw":                       {clear: attrRdonly},
		"rw ro":                       {set: attrRdonly},
		"rro rrw":                     {recClear: attrRdonly},
		"rrw rro":                     {recSet: attrRdonly},
		"ro rrw":                      {set: attrRdonly, recClear: attrRdonly},
		"nosuid nodev suid":           {set: attrNodev, clear: attrNosuid},
		"noatime relatime":            {clear: attrAtimeMask},
		"relatime noatime":            {set: attrNoatime, clear: attrAtimeMask},
		"strictatime noatime":         {set: attrNoatime, clear: attrAtimeMask},
		"noatime nodiratime atime":    {set: attrNodiratime, clear: attrAtimeMask},
		"rnoatime rstrictatime":       {recSet: attrStrictatime, recClear: attrAtimeMask},
		"rshared rprivate":            {propagation: []uint64{msShared | msRec, msPrivate | msRec}},
		"nosymfollow symfollow noexe": {clear: attrNosymfollow, params: []string{"noexe"}},
	} {
		if got := parseOptions(strings.Fields(words)); !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n got %+v\nwant %+v", words, got, want)
		}
	}
}

// No word may set and clear one bit in a call of mount_setattr(2), which the
// kernel refuses, but for the field of the times, which must be cleared to be set.
func TestSetAndClear(t *testing.T) {
	var words []string
	for w := range specWords() {
		words = append(words, w)
	}
	for _, a := range words {
		for _, b := range words {
			o := parseOptions([]string{a, b})
			if both := o.set & o.clear &^ attrAtimeMask; both != 0 {
				t.Errorf("%s,%s: sets and clears %#x", a, b, both)
			}
			if both := o.recSet & o.recClear &^ attrAtimeMask; both != 0 {
				t.Errorf("%s,%s: sets and clears %#x below", a, b, both)
			}
			if o.set&attrAtimeMask != 0 && o.clear&attrAtimeMask != attrAtimeMask {
				t.Errorf("%s,%s: sets a time without clearing the others", a, b)
			}
		}
	}
}

// What mount(2) is told instead where it makes the mount.
func TestMountFlags(t *testing.T) {
	for words, want := range map[string]struct {
		flags uint64
		data  string
	}{
		"":                                  {0, ""},
		"ro nosuid nodev noexec":            {msRdonly | msNosuid | msNodev | msNoexec, ""},
		"ro rw":                             {0, ""},
		"noatime nodiratime":                {msNoatime | msNodiratime, ""},
		"strictatime":                       {msStrictatime, ""},
		"relatime":                          {0, ""},
		"nosymfollow":                       {msNosymfollow, ""},
		"sync dirsync mand lazytime":        {msSynchronous | msDirsync | msMandlock | msLazytime, ""},
		"async nomand nolazytime":           {0, ""},
		"silent acl iversion remount":       {msSilent | msPosixacl | msIversion | msRemount, ""},
		"size=1m silent mode=755 sync uid=": {msSilent | msSynchronous, "size=1m,mode=755,uid="},
	} {
		o := parseOptions(strings.Fields(words))
		if o.mountFlags() != want.flags || o.data() != want.data {
			t.Errorf("%q: got flags %#x and data %q, want %#x and %q", words, o.mountFlags(), o.data(), want.flags, want.data)
		}
	}
}

// On a bind, mount(2) passes over what acts on a whole file system, and so does
// berth, with a warning; what is unknown stays, to be refused.
func TestDropSuper(t *testing.T) {
	for words, want := range map[string]struct {
		dropped bool
		left    options
	}{
		"bind ro":               {false, options{bind: true, set: attrRdonly}},
		"bind silent noacl":     {false, options{bind: true}},
		"bind sync nodev":       {true, options{bind: true, set: attrNodev}},
		"bind async x nomand":   {true, options{bind: true, params: []string{"x"}}},
		"bind mand dirsync":     {true, options{bind: true}},
		"lazytime acl":          {true, options{}},
		"mode=755 bind size=1k": {true, options{bind: true}},
		"bind nosuidd":          {false, options{bind: true, params: []string{"nosuidd"}}},
		"iversion nolazytime y": {true, options{params: []string{"y"}}},
	} {
		o := parseOptions(strings.Fields(words))
		dropped := o.dropSuper()
		if len(o.params) == 0 {
			o.params = nil
		}
		if dropped != want.dropped || !reflect.DeepEqual(o, want.left) {
			t.Errorf("%q: got %v, %+v, want %+v", words, dropped, o, want)
		}
	}
}

func TestRootPropagation(t *testing.T) {
	for word, want := range map[string]uint64{
		"":            msSlave | msRec,
		"private":     msPrivate | msRec,
		"rprivate":    msPrivate | msRec,
		"slave":       msSlave | msRec,
		"rslave":      msSlave | msRec,
		"shared":      msShared | msRec,
		"rshared":     msShared | msRec,
		"unbindable":  msPrivate | msRec, // an unbindable rootfs could not be cloned
		"runbindable": msPrivate | msRec,
	} {
		if got, ok := rootPropagation(word); got != want || !ok {
			t.Errorf("%q: got %#x, %v, want %#x", word, got, ok, want)
		}
	}
	if _, ok := rootPropagation("Shared"); ok {
		t.Error("Shared is taken for a propagation")
	}
}
