package plan

// This file declares every operation of the executor, once. `go generate`
// reads it and writes ops_gen.go (codes, encoding, printing) and the C header
// nsenter/executor/plan.h (codes, structures, field kinds, prototypes).
//
// An operation is a struct whose fields are of these types only:
// string, []string, []byte, bool, uint32, uint64, Slot, Point, Kind.
// The line comment of a field becomes its comment in C.

// Setsid makes the process the leader of a new session; setsid(2).
type Setsid struct{}

// Unshare leaves the named namespaces for new ones; unshare(2).
type Unshare struct {
	Flags uint64 // CLONE_NEW* bits
}

// Setns joins the namespace or, with a pidfd, the namespaces behind a
// descriptor; setns(2).
type Setns struct {
	From  Slot
	Flags uint64 // CLONE_NEW* bits that the descriptor must be of
}

// Fork goes on in a child of the parent's parent (CLONE_PARENT), which is how
// a joined pid or time namespace takes effect; this process ends.
// The child's pid, as seen in the namespace of who reads the report socket,
// goes out as its credentials.
type Fork struct{}

// Sync reports Point to the parent and waits for its answer. Where Send is a
// slot, its descriptor goes along; Fds descriptors of the answer are put into
// slots from Into on; bytes of the answer are kept as late entries of the
// environment, with a NUL between them. EOF instead of an answer ends the process: the parent is gone.
type Sync struct {
	Point Point
	Send  Slot
	Into  Slot
	Fds   uint32 // how many descriptors the answer must bring
	Quiet bool   // nothing is reported: the answer comes unasked
}

// Listener tells the parent the number of the descriptor in From, of which the
// parent takes a copy; pidfd_getfd(2). It is told by write(2) and nothing is
// waited for: the filter that the descriptor belongs to is in force, and
// whatever else it stops can only go on once the parent has it.
type Listener struct {
	From Slot
}

// WriteSlot writes Data to an open descriptor in one write and closes it.
type WriteSlot struct {
	To   Slot
	Data string
}

// WriteProc writes Data to a file of a verified procfs. A Path that starts
// with "self/" is of this process. No link is followed, no mount is crossed.
type WriteProc struct {
	Proc Slot
	Path string // below the procfs
	Data string
}

// Propagation changes the propagation of the mount at Path; mount(2).
type Propagation struct {
	Path  string
	Flags uint64 // one of MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, perhaps with MS_REC
}

// RootOpen clones the tree at Path, mounts the clone over Path so that it is
// a mount of its own, and keeps it in Into.
type RootOpen struct {
	Path      string
	Into      Slot
	Recursive bool
}

// DirOpen opens a folder of the host in Into without mounting anything.
type DirOpen struct {
	Path string
	Into Slot
}

// Fsmount makes a new detached mount; fsopen(2), fsconfig(2), fsmount(2).
type Fsmount struct {
	Fstype string
	Source string   // "source" parameter; empty for none
	Params []string // key=value or key, in order
	Attr   uint64   // MOUNT_ATTR_* bits
	Into   Slot
}

// OpenTree clones a mount or a part of it as a detached mount; open_tree(2).
type OpenTree struct {
	From      Slot   // folder that Path starts in; SlotNone: the host's root
	Path      string // empty: From itself
	Recursive bool
	Nofollow  bool // a symbolic link at the end is not followed
	InRoot    bool // From is a root that no link of Path can leave
	Into      Slot
}

// MountSetattr changes a mount's attributes; mount_setattr(2), and below
// kernel 5.12, where nothing is recursive, mount(2) with MS_REMOUNT|MS_BIND.
type MountSetattr struct {
	Mount       Slot
	Recursive   bool
	Set         uint64 // MOUNT_ATTR_* bits
	Clear       uint64 // MOUNT_ATTR_* bits
	Propagation uint64 // MS_* propagation or 0
	Userns      Slot   // user namespace for MOUNT_ATTR_IDMAP or SlotNone
}

// Attach mounts what is in Mount at Target inside Root; move_mount(2).
type Attach struct {
	Mount     Slot
	Root      Slot
	Target    string
	Create    Kind // what to make where Target is missing
	Nosymlink bool // no link anywhere in Target (for /proc and /sys)
	Nofollow  bool // a link at the end of Target is itself covered
	InProc    bool // Target may lie in a procfs
}

// MountData mounts with mount(2), for what fsconfig(2) cannot say: options of
// 256 bytes and more, MS_REMOUNT, and flags that only mount(2) has.
type MountData struct {
	Fstype string
	Source string
	Data   string // options with commas between
	Flags  uint64 // MS_* bits
	Root   Slot
	Target string
	Create Kind

	Nosymlink bool // no link anywhere in Target
	InProc    bool // Target may lie in a procfs
}

// Unmount detaches what is mounted at Path inside Root; umount2(2). A link at
// the end of Path is not followed.
type Unmount struct {
	Root Slot
	Path string
}

// CopyLink makes the symbolic link that is the root of the mount in From again at
// Path inside Root. What is no link is EINVAL; a link that is there must lead
// to the same.
type CopyLink struct {
	From Slot
	Root Slot
	Path string
}

// CopyUp copies what lies at Path inside Root into the root of Mount, as the
// option tmpcopyup asks.
type CopyUp struct {
	Root  Slot
	Path  string
	Mount Slot
}

// Mknod makes a device node or FIFO at Path inside Root. One that is there
// already must be the same device; an empty file is EPERM, as where no device
// can be made, so that the host's is mounted on it.
type Mknod struct {
	Root Slot
	Path string
	Mode uint32 // type and permission bits, as in mknod(2)
	Dev  uint64 // device number, as in mknod(2)
	UID  uint32
	GID  uint32
}

// Mkdir makes a folder (and those above it) at Path inside Root.
type Mkdir struct {
	Root Slot
	Path string
	Mode uint32
}

// Symlink makes a symbolic link at Path inside Root; what is there stays.
type Symlink struct {
	Root Slot
	Path string
	To   string
}

// Mask hides Path inside Root: a file under /dev/null, a folder under an empty
// read-only tmpfs that all masks share. A missing Path is nothing to hide.
type Mask struct {
	Root Slot
	Path string
	Null Slot // a descriptor of the host's /dev/null
	Dir  Slot // the shared tmpfs; made at the first use
}

// Readonly remounts Path inside Root read-only over itself. A missing Path
// is nothing to protect.
type Readonly struct {
	Root Slot
	Path string
}

// OpenNull opens the host's /dev/null and checks that it is character device
// 1:3.
type OpenNull struct {
	Into Slot
}

// PivotRoot makes Root the root folder and lets go of the old one;
// pivot_root(2).
type PivotRoot struct {
	Root  Slot
	Slave bool // make the old root's mounts slaves before they go
}

// MoveRoot makes Root the root folder with MS_MOVE and chroot(2), for hosts
// that run from an initramfs, where pivot_root fails. The host's mounts stay
// in the namespace, out of reach; those at Hide are taken away before, the last
// first. Private are the mounts that they are on, which the host must not hear
// of it from.
type MoveRoot struct {
	Root    Slot
	Private []string
	Hide    []string
}

// Chroot changes the root folder; chroot(2).
type Chroot struct {
	Root Slot
}

// RootPropagation sets the propagation of the container's own root.
type RootPropagation struct {
	Flags uint64
}

// PtyOpen opens a new pseudoterminal of the devpts in Pts.
type PtyOpen struct {
	Pts    Slot // root of a devpts; checked
	Master Slot
	Slave  Slot
	Rows   uint32
	Cols   uint32
	UID    uint32 // owner of the slave
}

// PtyStdio makes Slave the controlling terminal and standard input, output
// and error.
type PtyStdio struct {
	Slave Slot
}

// OpenPath opens a folder or file inside Root as an O_PATH descriptor.
type OpenPath struct {
	Root Slot
	Path string
	Into Slot
}

// OpenFile opens a regular file inside Root for reading, if it is there.
type OpenFile struct {
	Root Slot
	Path string
	Into Slot
}

// Undumpable keeps other processes of the container from tracing this one
// until execve; prctl(2), PR_SET_DUMPABLE.
type Undumpable struct{}

// CloseSlot closes a descriptor.
type CloseSlot struct {
	Slot Slot
}

// Loopback brings up the loopback interface of the network namespace.
type Loopback struct{}

// Timens makes a time namespace, sets its offsets and moves this process into
// it; time_namespaces(7).
type Timens struct {
	Proc    Slot
	Offsets string // lines of clock, seconds and nanoseconds
}

// OwnStdio makes standard input, output and error the container's own: the
// host's /dev/null is exchanged for that of the container, and what is no
// device of the host's is given to the user.
type OwnStdio struct {
	Root Slot // the container's root folder
	UID  uint32
}

// Sethostname sets the UTS namespace's host name; sethostname(2).
type Sethostname struct {
	Name string
}

// Setdomainname sets the UTS namespace's NIS domain name; setdomainname(2).
type Setdomainname struct {
	Name string
}

// Keyring joins a new session keyring; keyctl(2).
type Keyring struct {
	Name string
}

// Rlimit sets a resource limit; prlimit(2).
type Rlimit struct {
	Resource uint32
	Soft     uint64
	Hard     uint64
}

// Umask sets the file mode creation mask; umask(2).
type Umask struct {
	Mask uint32
}

// Chdir changes the working folder and checks that it is inside the
// container (CVE-2024-21626).
type Chdir struct {
	Path   string
	Create bool // make it where it is missing
	Defer  bool // EACCES is no failure yet: Again tries as another user
	Again  bool // only try where an earlier Defer was refused
}

// NoNewPrivs sets the no_new_privs bit; prctl(2), PR_SET_NO_NEW_PRIVS.
type NoNewPrivs struct{}

// Bounding drops every capability not in Keep from the bounding set.
type Bounding struct {
	Keep uint64 // bit n: capability n
}

// Setgroups sets the supplementary groups; setgroups(2).
type Setgroups struct {
	Gids []byte // uint32 each, host byte order
}

// Setids becomes the user and group and keeps the permitted capabilities
// for Capset to choose from; setresgid(2), setresuid(2).
type Setids struct {
	UID uint32
	GID uint32
}

// Capset sets the capability sets of the process; capset(2).
type Capset struct {
	Effective   uint64
	Permitted   uint64
	Inheritable uint64
}

// Ambient sets the ambient capability set; prctl(2), PR_CAP_AMBIENT.
type Ambient struct {
	Set uint64
}

// Seccomp installs a filter; seccomp(2), SECCOMP_SET_MODE_FILTER. The program
// is compiled while the plan is carried out, so its flags come with it: eight
// bytes of SECCOMP_FILTER_FLAG_* bits, then the array of struct sock_filter.
type Seccomp struct {
	Program Slot
	Listen  Slot // where the listener's descriptor goes, or SlotNone
}

// SetName sets the process's name as ps shows it until execve; prctl(2),
// PR_SET_NAME.
type SetName struct {
	Name string
}

// FindExec looks for the first candidate that can be executed by the process
// as it is now; Execve runs it.
type FindExec struct {
	Name       string // args[0], for the message
	Candidates []string
}

// WaitStart closes every other descriptor of set-up and waits for one byte on
// the FIFO; what goes wrong later is told through Report.
type WaitStart struct {
	Fifo   Slot
	Report Slot
}

// Execve becomes the container's process; execve(2).
type Execve struct {
	Argv []string
	Envp []string
	Late bool // append the environment entries that a Sync brought
}

// RelayNotify passes on to To what the container's processes send to From by
// sd_notify(3), until the process behind Pidfd has ended; then this one ends.
type RelayNotify struct {
	From  Slot
	To    Slot
	Pidfd Slot
	Keep  []string // beginnings of the lines that go on
	Extra string   // a line to add to the message that says ready; empty for none
}

// Affinity sets which CPUs the process may run on; sched_setaffinity(2).
type Affinity struct {
	Cpus []byte // bit mask in 64-bit words of the host's byte order; empty: all that the cpuset has
}

// Scheduler sets the scheduling policy; sched_setattr(2).
type Scheduler struct {
	Policy   uint32 // SCHED_*
	Flags    uint64 // SCHED_FLAG_* bits
	Nice     uint32 // of a signed number
	Priority uint32
	Runtime  uint64 // nanoseconds, as the next two
	Deadline uint64
	Period   uint64
}

// Ioprio sets the I/O priority of the process group; ioprio_set(2).
type Ioprio struct {
	Priority uint32 // class and level as IOPRIO_PRIO_VALUE packs them
}

// Mempolicy sets the NUMA memory policy; set_mempolicy(2).
type Mempolicy struct {
	Mode  uint32 // MPOL_* and MPOL_F_* bits
	Nodes []byte // bit mask in 64-bit words of the host's byte order
}

// Personality sets the execution domain; personality(2).
type Personality struct {
	Persona uint32
}
