package seccomp

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func testProfile(errno uint) *specs.LinuxSeccomp {
	return &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno, DefaultErrnoRet: &errno,
		Architectures: []specs.Arch{specs.ArchX86_64}, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagLog},
		Syscalls: []specs.LinuxSyscall{{
			Names: []string{"read"}, Action: specs.ActErrno, ErrnoRet: &errno,
			Args: []specs.LinuxSeccompArg{{Index: 1, Value: 2, ValueTwo: 3, Op: specs.OpEqualTo}},
		}},
	}
}

func testProgram() *Program {
	return &Program{Filter: encode([]insn{{code: opLoad}, {code: opReturn, k: 7}}), Flags: 12, Notify: true}
}

// files lists a folder, and fails when a file of it is open to others.
func files(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().IsRegular() && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", e.Name(), info.Mode())
		}
		names = append(names, e.Name())
	}
	return names
}

func openDescriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestCacheKeepsPrograms(t *testing.T) {
	before := openDescriptors(t)
	c := Cache{Dir: filepath.Join(t.TempDir(), "seccomp")}
	key := NewKey(testProfile(1), "6.1.0")
	if _, err := c.Load(key); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder yet: %v", err)
	}
	want := testProgram()
	if err := c.Store(key, want); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(c.Dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder: %v %v", info.Mode(), err)
	}
	if names := files(t, c.Dir); len(names) != 1 {
		t.Errorf("files: %q", names)
	}
	got, err := c.Load(key)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if _, err := c.Load(NewKey(testProfile(2), "6.1.0")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another profile: %v", err)
	}
	if after := openDescriptors(t); after != before {
		t.Errorf("%d descriptors before, %d after", before, after)
	}
}

func TestCacheRefuses(t *testing.T) {
	key := NewKey(testProfile(1), "6.1.0")
	name := key.file()
	entry := encodeEntry(key, testProgram())
	other := encodeEntry(NewKey(testProfile(2), "6.1.0"), testProgram())
	write := func(data []byte) func(dir string) error {
		return func(dir string) error { return os.WriteFile(filepath.Join(dir, name), data, 0o600) }
	}
	chmod := func(mode fs.FileMode) func(dir string) error {
		return func(dir string) error { return os.Chmod(filepath.Join(dir, name), mode) }
	}
	for what, c := range map[string]struct {
		spoil    func(dir string) error
		want     string
		forStore bool // Store cannot help either
	}{
		"empty":                   {write(nil), "its size is 0 bytes", false},
		"short":                   {write(entry[:len(entry)-1]), "its lengths do not add up", false},
		"long":                    {write(append(bytes.Clone(entry), 0)), "its lengths do not add up", false},
		"very long":               {write(append(bytes.Clone(entry), make([]byte, 1<<20)...)), "its size is", false},
		"of another key":          {write(other), "it is of another profile", false},
		"without program":         {write(encodeEntry(key, &Program{})), "it holds no program", false},
		"readable by the group":   {chmod(0o640), "its mode is 0640, more than 0600", false},
		"writable by others":      {chmod(0o602), "its mode is 0602, more than 0600", false},
		"set-user-ID":             {chmod(0o600 | fs.ModeSetuid), "its mode is 04600, more than 0600", false},
		"folder open to others":   {func(dir string) error { return os.Chmod(dir, 0o755) }, "its mode is 0755, more than 0700", true},
		"folder writable by all":  {func(dir string) error { return os.Chmod(dir, 0o777|fs.ModeSticky) }, "its mode is 01777", true},
		"folder gone":             {os.RemoveAll, "no such file", false},
		"a FIFO":                  {replace(name, func(f string) error { return unix.Mkfifo(f, 0o600) }), "not a regular file", false},
		"a symbolic link":         {replace(name, func(f string) error { return os.Symlink("/etc/passwd", f) }), "too many levels of symbolic links", false},
		"a folder of that name":   {replace(name, func(f string) error { return os.Mkdir(f, 0o700) }), "not a regular file", true},
		"a link to the folder":    {linkInstead, "not a directory", true},
		"of another user":         {chown(name), "its owner is uid 1, not 0", false},
		"folder of another user":  {chown("."), "its owner is uid 1, not 0", true},
		"a file where the folder": {fileInstead, "not a directory", true},
	} {
		t.Run(what, func(t *testing.T) {
			if strings.HasSuffix(what, "another user") && os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			before := openDescriptors(t)
			cache := Cache{Dir: filepath.Join(t.TempDir(), "seccomp")}
			if err := cache.Store(key, testProgram()); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(cache.Dir); err != nil {
				t.Fatal(err)
			}
			program, err := cache.Load(key)
			if program != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, %v, want an error with %q", program, err, c.want)
			}
			if what != "folder gone" && errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%v passes for a plain miss", err)
			}
			err = cache.Store(key, testProgram())
			if (err != nil) != c.forStore {
				t.Errorf("Store: %v", err)
			}
			if program, err := cache.Load(key); (err != nil) != c.forStore || (program != nil) == c.forStore {
				t.Errorf("after Store: %v, %v", program, err)
			}
			if after := openDescriptors(t); after != before {
				t.Errorf("%d descriptors before, %d after", before, after)
			}
		})
	}
}

// replace puts something else in the place of a file of the cache.
func replace(name string, with func(file string) error) func(dir string) error {
	return func(dir string) error {
		file := filepath.Join(dir, name)
		if err := os.Remove(file); err != nil {
			return err
		}
		return with(file)
	}
}

func linkInstead(dir string) error {
	if err := os.Rename(dir, dir+".real"); err != nil {
		return err
	}
	return os.Symlink(dir+".real", dir)
}

func fileInstead(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.WriteFile(dir, nil, 0o600)
}

func chown(name string) func(dir string) error {
	return func(dir string) error { return os.Chown(filepath.Join(dir, name), 1, 0) }
}

// TestCacheNoticesDamage: no byte of a file can change unnoticed.
func TestCacheNoticesDamage(t *testing.T) {
	key := NewKey(testProfile(1), "6.1.0")
	entry := encodeEntry(key, testProgram())
	if _, err := decodeEntry(entry, key); err != nil {
		t.Fatal(err)
	}
	for at := range entry {
		for bit := range 8 {
			damaged := bytes.Clone(entry)
			damaged[at] ^= 1 << bit
			if _, err := decodeEntry(damaged, key); err == nil {
				t.Errorf("bit %d of byte %d of %d", bit, at, len(entry))
			}
		}
	}
	for n := range entry {
		if _, err := decodeEntry(entry[:n], key); err == nil {
			t.Errorf("cut to %d of %d bytes", n, len(entry))
		}
	}
}

func TestCacheIsBounded(t *testing.T) {
	c := Cache{Dir: filepath.Join(t.TempDir(), "seccomp")}
	if err := os.Mkdir(c.Dir, 0o700); err != nil {
		t.Fatal(err)
	}
	// Left by a process killed in Store long ago, and by one that is in it now.
	old, young := filepath.Join(c.Dir, cachePrefix+"1-old"), filepath.Join(c.Dir, cachePrefix+"1-young")
	for _, f := range []string{old, young} {
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-2*cacheStale)); err != nil {
		t.Fatal(err)
	}
	keys := make([]Key, cacheEntries+9)
	for n := range keys {
		keys[n] = NewKey(testProfile(uint(n)), "6.1.0")
		if err := c.Store(keys[n], testProgram()); err != nil {
			t.Fatal(err)
		}
		// Whatever the clock's grain, this one is younger than those before.
		made := time.Now().Add(time.Duration(n-len(keys)) * time.Second)
		if err := os.Chtimes(filepath.Join(c.Dir, keys[n].file()), time.Time{}, made); err != nil {
			t.Fatal(err)
		}
	}
	if names := files(t, c.Dir); len(names) != cacheEntries+1 {
		t.Errorf("%d files, want %d and the one being written: %q", len(names), cacheEntries, names)
	}
	for n, key := range keys {
		_, err := c.Load(key)
		if kept := n >= len(keys)-cacheEntries; (err == nil) != kept {
			t.Errorf("entry %d of %d: %v", n, len(keys), err)
		}
	}
	if _, err := os.Stat(young); err != nil {
		t.Error(err)
	}
}

// TestCacheShared: many processes at once never see half a file.
func TestCacheShared(t *testing.T) {
	c := Cache{Dir: filepath.Join(t.TempDir(), "seccomp")}
	var wait sync.WaitGroup
	for n := range 8 {
		wait.Go(func() {
			key := NewKey(testProfile(uint(n%2)), "6.1.0")
			for range 50 {
				if err := c.Store(key, testProgram()); err != nil {
					t.Error(err)
				}
				if program, err := c.Load(key); err != nil || !reflect.DeepEqual(program, testProgram()) {
					t.Errorf("%+v, %v", program, err)
				}
			}
		})
	}
	wait.Wait()
	if names := files(t, c.Dir); len(names) != 2 {
		t.Errorf("files: %q", names)
	}
}

// TestKey changes each field of a profile, found by reflection so that a field
// that a new specification adds is not forgotten: the key must change.
func TestKey(t *testing.T) {
	base := testProfile(1)
	key := NewKey(base, "6.1.0")
	if !bytes.Equal(key, NewKey(testProfile(1), "6.1.0")) {
		t.Error("equal profiles have different keys")
	}
	seen := map[string]string{string(key): "the profile unchanged"}
	differs := func(what string, k Key) {
		if other, ok := seen[string(k)]; ok {
			t.Errorf("%s: the same key as %s", what, other)
		}
		seen[string(k)] = what
	}
	differs("another kernel", NewKey(base, "6.1.1"))
	fields := 0
	var change func(what string, v reflect.Value)
	change = func(what string, v reflect.Value) {
		fields++
		old := reflect.ValueOf(v.Interface())
		switch v.Kind() {
		case reflect.Struct:
			for i := range v.NumField() {
				change(what+"."+v.Type().Field(i).Name, v.Field(i))
			}
			return
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Uint, reflect.Uint64:
			v.SetUint(v.Uint() + 5)
		case reflect.Pointer:
			change(what+" (its value)", v.Elem())
			v.SetZero()
		case reflect.Slice:
			change(what+"[0]", v.Index(0))
			v.Set(reflect.Append(v, v.Index(0)))
			differs(what+" longer", NewKey(base, "6.1.0"))
			v.Set(old.Slice(0, 0))
			differs(what+" empty", NewKey(base, "6.1.0"))
			v.SetZero()
		default:
			t.Fatalf("%s is a %v", what, v.Kind())
		}
		switch {
		case strings.Contains(what, ".Listener"): // they do not touch the program
		case strings.HasSuffix(what, "Flags") || v.Kind() != reflect.Slice:
			differs(what+" changed", NewKey(base, "6.1.0"))
		}
		v.Set(old)
	}
	// Pointers of base are shared; give each its own value.
	two := uint(2)
	base.Syscalls[0].ErrnoRet = &two
	key = NewKey(base, "6.1.0")
	change("profile", reflect.ValueOf(base).Elem())
	if !bytes.Equal(key, NewKey(base, "6.1.0")) {
		t.Error("the test did not put the profile back")
	}
	if fields < 20 {
		t.Errorf("only %d fields tried", fields)
	}
}

func BenchmarkCacheLoad(b *testing.B) {
	p := workload(b, "docker-run.json")
	c := Cache{Dir: filepath.Join(b.TempDir(), "seccomp")}
	if err := c.Store(NewKey(p, "6.1.0"), &Program{Filter: make([]byte, 373*insnSize)}); err != nil {
		b.Fatal(err)
	}
	b.Run("key and load", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Load(NewKey(p, "6.1.0")); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("key", func(b *testing.B) {
		for b.Loop() {
			b.ReportMetric(float64(len(NewKey(p, "6.1.0"))), "bytes")
		}
	})
	b.Run("store", func(b *testing.B) {
		for b.Loop() {
			if err := c.Store(NewKey(p, "6.1.0"), testProgram()); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What could not be read again is not kept.
func TestCacheKeepsNoLongNotes(t *testing.T) {
	c := Cache{Dir: filepath.Join(t.TempDir(), "seccomp")}
	program := testProgram()
	program.Notes = []string{strings.Repeat("x", 1<<20)}
	if err := c.Store(NewKey(testProfile(1), "6.1.0"), program); err == nil || !strings.Contains(err.Error(), "too many to keep") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

// TestCacheCompile: the cache is used, and whatever is wrong with it, there is a
// program.
func TestCacheCompile(t *testing.T) {
	if !enabled {
		t.Skip("this build has no libseccomp")
	}
	p := workload(t, "docker-run.json")
	p.Syscalls = append(p.Syscalls, specs.LinuxSyscall{Names: []string{"no_such_call"}, Action: specs.ActAllow})
	c := Cache{Dir: filepath.Join(t.TempDir(), "seccomp")}
	var lines []string
	log := func(msg string) { lines = append(lines, msg) }
	first, err := c.Compile(p, "6.1.0", log)
	if err != nil {
		t.Fatal(err)
	}
	// What the file says is what comes back: put another program in.
	key := NewKey(p, "6.1.0")
	if kept, err := c.Load(key); err != nil || !reflect.DeepEqual(kept, first) {
		t.Errorf("kept: %+v, %v; compiled: %+v", kept, err, first)
	}
	if len(lines) != 1 || !reflect.DeepEqual(lines, first.Notes) {
		t.Errorf("logged: %q, noted: %q; want one line", lines, first.Notes)
	}
	other := testProgram()
	other.Notes = []string{"one", "two"}
	if err := c.Store(key, other); err != nil {
		t.Fatal(err)
	}
	lines = nil
	second, err := c.Compile(p, "6.1.0", log)
	if err != nil || !reflect.DeepEqual(second, other) {
		t.Errorf("the cache is not used: %v", err)
	}
	if !reflect.DeepEqual(lines, other.Notes) {
		t.Errorf("logged: %q, noted: %q", lines, other.Notes)
	}
	lines = nil
	if _, err := c.Compile(p, "6.1.0", nil); err != nil {
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(c.Dir, key.file()), []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	third, err := c.Compile(p, "6.1.0", log)
	if err != nil || !reflect.DeepEqual(third, first) || !strings.Contains(fmt.Sprint(lines), "is not used and will be replaced") {
		t.Errorf("a damaged entry: %v, logged %q", err, lines)
	}
	if fourth, err := c.Load(key); err != nil || !reflect.DeepEqual(fourth, first) {
		t.Errorf("the damaged entry was not replaced: %v", err)
	}
	lines = nil
	if _, err := (Cache{Dir: filepath.Join(t.TempDir(), "no", "parent")}).Compile(p, "6.1.0", log); err != nil || len(lines) == 0 {
		t.Errorf("no cache at all: %v, logged %q", err, lines)
	}
}
