// Package libseccomp has the C library libseccomp make BPF programs and name
// system calls, through libseccomp-golang. A berth that is built with
// SECCOMP=libseccomp (make; build tag libseccomp) compiles profiles by it. Every
// other build leaves it out, and its tests compare with it:
// docs/decisions/004-own-seccomp-programs.md.
//
// Without that tag the package is empty, so that nothing else needs the library.
package libseccomp
