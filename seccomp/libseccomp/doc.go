// Package libseccomp has the C library libseccomp make BPF programs and name
// system calls, through libseccomp-golang. The generator is linked with it, and
// the tests of package seccomp are; berth itself is not
// (docs/decisions/018-generator.md).
//
// Without the build tag libseccomp the package is empty, so that nothing else
// needs the library.
package libseccomp
