package seccomp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// Cache keeps compiled programs as files of one folder. Only the user who runs
// this may be able to write there, because a container's protection depends on
// what is read: the folder must be that user's, with mode 0700 or less, and so
// must each file, with 0600 or less. Anything else is not used.
//
// A file holds the whole Key it was made for, so a wrong name, another version's
// file or a changed profile is never taken for another; and a checksum, so a
// damaged file is not used either. Files appear by rename(2) and are never
// changed. Any number of processes may use a folder at once.
type Cache struct {
	// Dir is the folder. Store makes it, not its parents.
	Dir string
}

// cacheEntries is the most files that Store leaves behind, the newest: a
// machine runs few profiles, most of them Docker's.
const cacheEntries = 64

const (
	cacheMagic  = "berthBPF"
	cacheHeader = len(cacheMagic) + 2*4 // magic; lengths of key and reply
	cacheSum    = 8
	cacheReply  = maxInsns*insnSize + 64<<10 // the longest reply: a program, and notes on a profile
	cachePrefix = ".new-"                    // files that are being written
	cacheStale  = time.Minute
)

// Compile gives the program of a profile: from the cache, or else by
// seccomp.Compile, and then it is stored. That the cache cannot be read or
// written is told to log and is not an error. release is the kernel's
// (uname(2)). What is said of a profile is the same with a program from the cache.
func (c Cache) Compile(p *specs.LinuxSeccomp, release string, log func(msg string)) (*Program, error) {
	key := NewKey(p, release)
	program, err := c.Load(key)
	if err == nil {
		program.tell(log)
		return program, nil
	}
	if log != nil && !errors.Is(err, fs.ErrNotExist) {
		log(err.Error())
	}
	program, err = Compile(p, log)
	if err != nil {
		return nil, err
	}
	if err := c.Store(key, program); err != nil && log != nil {
		log(err.Error())
	}
	return program, nil
}

// Load gives the program of a key. The error is fs.ErrNotExist where there is
// none, and otherwise says why what is there is not used; Store replaces it.
func (c Cache) Load(key Key) (*Program, error) {
	dir, err := c.open()
	if err != nil {
		return nil, err
	}
	defer unix.Close(dir)
	name := key.file()
	// O_NONBLOCK: a FIFO of that name must not hold anybody.
	fd, err := openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("seccomp cache %s: open %s: %w", c.Dir, name, err)
	}
	defer unix.Close(fd)
	data, err := readEntry(fd, len(key))
	if err != nil {
		return nil, fmt.Errorf("seccomp cache %s: %s is not used and will be replaced: %w", c.Dir, name, err)
	}
	program, err := decodeEntry(data, key)
	if err != nil {
		return nil, fmt.Errorf("seccomp cache %s: %s is not used and will be replaced: %w", c.Dir, name, err)
	}
	return program, nil
}

// Store keeps a program under a key, in place of what is there, and removes the
// oldest files beyond 64. A failure leaves nothing behind.
func (c Cache) Store(key Key, program *Program) error {
	entry := encodeEntry(key, program)
	if n := len(entry); n > cacheHeader+len(key)+cacheReply+cacheSum {
		return fmt.Errorf("seccomp cache %s: %d bytes are too many to keep: remove names that no architecture has from linux.seccomp.syscalls", c.Dir, n)
	}
	if err := unix.Mkdir(c.Dir, 0o700); err != nil && err != unix.EEXIST {
		return fmt.Errorf("seccomp cache %s: make the folder: %w", c.Dir, err)
	}
	dir, err := c.open()
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fresh, err := "", error(unix.EEXIST)
	for errors.Is(err, unix.EEXIST) { // as two can have the same nanosecond
		fresh = cachePrefix + strconv.Itoa(os.Getpid()) + "-" + strconv.FormatInt(time.Now().UnixNano(), 36)
		err = writeEntry(dir, fresh, entry)
	}
	if err != nil {
		return fmt.Errorf("seccomp cache %s: write %s: %w", c.Dir, fresh, err)
	}
	if err := unix.Renameat(dir, fresh, dir, key.file()); err != nil {
		return errors.Join(fmt.Errorf("seccomp cache %s: rename %s to %s: %w", c.Dir, fresh, key.file(), err), remove(dir, fresh))
	}
	if err := prune(dir); err != nil {
		return fmt.Errorf("seccomp cache %s: remove old files: %w", c.Dir, err)
	}
	return nil
}

// file names the file of a key.
func (k Key) file() string {
	const digits = "0123456789abcdef"
	var name [16]byte
	for i, h := 0, checksum(k); i < len(name); i, h = i+1, h<<4 {
		name[i] = digits[h>>60]
	}
	return string(name[:])
}

// open opens the folder after making sure that nobody else can write there.
func (c Cache) open() (int, error) {
	fd, err := openat(unix.AT_FDCWD, c.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("seccomp cache %s: open the folder: %w", c.Dir, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = private(&st, 0o700)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("seccomp cache %s is not used: %w: give it mode 0700 and this user, or remove it", c.Dir, err)
	}
	return fd, nil
}

// private wants an owner that is this process's user, and no permission beyond
// most.
func private(st *unix.Stat_t, most uint32) error {
	if euid := uint32(os.Geteuid()); st.Uid != euid {
		return fmt.Errorf("its owner is uid %d, not %d", st.Uid, euid)
	}
	if mode := st.Mode & 0o7777; mode&^most != 0 {
		return fmt.Errorf("its mode is %#o, more than %#o", mode, most)
	}
	return nil
}

func openat(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		if err != unix.EINTR {
			return fd, err
		}
	}
}

// readEntry reads a cache file whose key has a length, if it is one by its
// type, owner, mode and size.
func readEntry(fd, keyLength int) ([]byte, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.New("it is not a regular file")
	}
	if err := private(&st, 0o600); err != nil {
		return nil, err
	}
	least := int64(cacheHeader + keyLength + cacheSum)
	if st.Size < least || st.Size > least+cacheReply {
		return nil, fmt.Errorf("its size is %d bytes", st.Size)
	}
	data := make([]byte, st.Size)
	for have := 0; have < len(data); {
		n, err := unix.Read(fd, data[have:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return nil, err
		case n == 0:
			return nil, fmt.Errorf("it ends after %d of %d bytes", have, len(data))
		default:
			have += n
		}
	}
	return data, nil
}

// encodeEntry gives the content of a cache file: the header, the key, the reply
// with the program, and the checksum of all before it; numbers little-endian.
func encodeEntry(key Key, program *Program) []byte {
	answer := encodeReply(&reply{program: program})
	data := make([]byte, 0, cacheHeader+len(key)+len(answer)+cacheSum)
	data = append(data, cacheMagic...)
	data = binary.LittleEndian.AppendUint32(data, uint32(len(key)))
	data = binary.LittleEndian.AppendUint32(data, uint32(len(answer)))
	data = append(data, key...)
	data = append(data, answer...)
	return binary.LittleEndian.AppendUint64(data, checksum(data))
}

func decodeEntry(data []byte, key Key) (*Program, error) {
	if len(data) < cacheHeader+cacheSum {
		return nil, errors.New("it is too short")
	}
	body, sum := data[:len(data)-cacheSum], data[len(data)-cacheSum:]
	number := func(n int) uint64 { return uint64(binary.LittleEndian.Uint32(body[len(cacheMagic)+4*n:])) }
	keyLength, replyLength := number(0), number(1)
	switch {
	case string(body[:len(cacheMagic)]) != cacheMagic:
		return nil, errors.New("it does not begin as a cache file does")
	case uint64(cacheHeader)+keyLength+replyLength != uint64(len(body)):
		return nil, errors.New("its lengths do not add up")
	case binary.LittleEndian.Uint64(sum) != checksum(body):
		return nil, errors.New("its checksum is wrong")
	case !bytes.Equal(body[cacheHeader:cacheHeader+int(keyLength)], key):
		return nil, errors.New("it is of another profile")
	}
	answer, err := decodeReply(body[cacheHeader+int(keyLength):])
	if err != nil || answer.program == nil {
		return nil, errors.New("it holds no program")
	}
	return answer.program, nil
}

func writeEntry(dir int, name string, data []byte) error {
	fd, err := openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	for len(data) > 0 && err == nil {
		var n int
		if n, err = unix.Write(fd, data); err == unix.EINTR {
			err = nil
			continue
		}
		data = data[max(n, 0):]
	}
	if closed := unix.Close(fd); err == nil {
		err = closed
	}
	if err != nil {
		return errors.Join(err, remove(dir, name))
	}
	return nil
}

// remove removes a file; that it is gone already is no error.
func remove(dir int, name string) error {
	if err := unix.Unlinkat(dir, name, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

// prune removes the oldest files beyond cacheEntries, and what a killed process
// left half-written.
func prune(dir int) error {
	fd, err := openat(dir, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	list := os.NewFile(uintptr(fd), "seccomp cache")
	defer list.Close()
	names, err := list.Readdirnames(-1)
	if err != nil {
		return err
	}
	type entry struct {
		name string
		made int64
	}
	var entries []entry
	for _, name := range names {
		fresh := strings.HasPrefix(name, cachePrefix)
		if !fresh && len(names) <= cacheEntries {
			continue
		}
		var st unix.Stat_t
		if unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil || st.Mode&unix.S_IFMT == unix.S_IFDIR {
			continue // removed by another process, or not ours
		}
		made := st.Mtim.Nano()
		if fresh {
			if time.Since(time.Unix(0, made)) > cacheStale {
				if err := remove(dir, name); err != nil {
					return err
				}
			}
			continue
		}
		entries = append(entries, entry{name, made})
	}
	if len(entries) <= cacheEntries {
		return nil
	}
	slices.SortFunc(entries, func(x, y entry) int {
		if x.made != y.made {
			return int(min(max(x.made-y.made, -1), 1))
		}
		return strings.Compare(x.name, y.name)
	})
	for _, e := range entries[:len(entries)-cacheEntries] {
		if err := remove(dir, e.name); err != nil {
			return err
		}
	}
	return nil
}
