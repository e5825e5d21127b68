// Package seccomp turns linux.seccomp of config.json into what seccomp(2)
// takes: a classic BPF program and its flags. It also keeps compiled programs
// (Cache), hands the notify descriptor to its agent (SendNotifyFD) and says
// what is supported (Features). Loading the program is the executor's work.
//
// # Who makes a program
//
// libseccomp does, by way of libseccomp-golang, in a program of its own that lies
// in berth (generator) and runs where no program is cached: Compile asks it, with
// the profile as a Key, and gets a reply (docs/decisions/018-generator.md). This
// package is built in three ways:
//
//	build tag     Compile                           is in
//	none          runs the generator                berth
//	libseccomp    has libseccomp write the program  the generator, and tests
//	ownseccomp    writes the program itself         a berth made with SECCOMP=berth
//
// # How a program is made
//
//	ld arch
//	  for each architecture, a binary search over the system call number:
//	      number -> return value, or a jump to a program
//	  the programs
//
// With libseccomp there is one program for each architecture, libseccomp's, and
// the search leads there but for newer numbers and for those that libseccomp gets
// wrong. Without, the search has the answer to every number that arguments do not
// decide. For arguments, here or there, is a program of this package's for each set
// of entries with args: the entries in turn; if none holds, the default action.
//
// Measured on a 2-core virtual machine (Linux 6.18, libseccomp 2.5.4), the profile
// of Docker (357 names, 3 architectures), medians:
//
//	                      compile   insns    load   a denied call
//	libseccomp, level 1     13 ms     960  830 µs          260 ns
//	libseccomp, level 2     16 ms    1200  300 µs          170 ns
//	this package           0.4 ms     373  150 µs          170 ns
//
// (level is SCMP_FLTATR_CTL_OPTIMIZE; 2 is its binary tree, which the generator
// uses. All architectures at once; one at a time the compiling takes half as long.
// "load" is SECCOMP_SET_MODE_FILTER, which each start waits for, compiled or cached:
// the kernel checks and translates every instruction, and since Linux 5.11 tries
// every system call on the program to find those that are always allowed, which
// costs much where the program is a list.)
//
// # What libseccomp gets wrong
//
// libseccomp 2.5.4 does not always do what a profile says once two entries with
// args name one call: of
//
//	{index 1, MASKED_EQ 2, 0} and {index 0, GE 2}  SCMP_ACT_ALLOW
//	{index 1, EQ 0}           and {index 0, GE 1}  SCMP_ACT_ALLOW
//
// it makes a program that allows arguments 1 and 5; some such pairs send it
// into an endless loop, even of a call that the architecture does not have. It is
// not given those (libraryRight, libraryNames), unless all entries compare one
// argument with one value each, as Docker's on personality(2) do.
//
// verdict_test.go and reference_test.go compare programs, this package's and
// libseccomp's, with what the profile means and with the kernel's own BPF.
//
// # ENOSYS for system calls newer than the profile
//
// A profile that denies by default answers EPERM to a system call that did not
// exist when it was written, and a libc that tries a new call first and falls
// back on ENOSYS breaks. So, as runc does: where the default action denies
// (SCMP_ACT_ERRNO, SCMP_ACT_KILL*, SCMP_ACT_TRAP), a number above the largest
// one that the profile names for that architecture gets ENOSYS. A rule whose
// action is the default action names its system calls too: listing a call is
// the way to have it denied with the default action. Allow-like defaults
// (SCMP_ACT_ALLOW, _LOG, _TRACE) are left alone, and so is an architecture of
// which the profile names nothing. Details:
//
//   - x32 shares its architecture token with x86_64 and sets bit 30 of the
//     number: it has its own largest number. Without SCMP_ARCH_X32 in the
//     profile, a number with that bit is another architecture's.
//   - Number -1, which a tracer sets to skip a call, counts as above the
//     largest one.
//   - On s390 and s390x the kernel reports a number it does not know as 0, so
//     there 0 gets ENOSYS too.
//   - runc 1.1.5 does this only for architectures that the profile lists; here
//     the native one counts, listed or not.
//
// # Where the specification is silent
//
//   - Entries on one system call are alternatives. One without args wins, the
//     first of them (as with libseccomp). Otherwise the first in the profile
//     whose args hold wins. Two with the same args and different actions are an
//     error (as with libseccomp).
//   - All args of an entry must hold. An entry that names one index twice is
//     taken apart into one entry for each of its args, as runc and crun do.
//   - An argument of x86 and the other 32-bit architectures has 32 bits; a
//     negative value that was written with 64 (-1) is cut for them.
//   - Where socketcall(2) and ipc(2) carry a call (x86, s390, MIPS, PPC), an entry
//     for the call counts for the carrier too. The call's own arguments lie in
//     memory then, where no filter sees them: if entries with args decide, the
//     strictest of what they could answer, and of the default, is the answer.
//     (libseccomp by itself compares the carrier's arguments in their place.)
//   - A call of an architecture that the profile does not have kills the thread
//     (libseccomp's default, and what runc and crun do).
//   - flags absent means SECCOMP_FILTER_FLAG_SPEC_ALLOW, as in runc since 1.2
//     and in crun; an empty list means no flags. The specification, 1.3.0, sets
//     no default.
package seccomp
