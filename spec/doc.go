// Package spec reads, checks and writes config.json, the document of the OCI
// runtime-spec 1.3.0, and the two documents cut out of it: the process of
// exec --process and the resources of update --resources.
//
// Reading and checking are kept apart. [Parse] answers whether the bytes are
// the JSON of a config.json, and nothing else: it agrees with encoding/json on
// what is accepted and on what comes out, and exists because reflection over a
// config.json costs more than the whole rest of a container's start in this
// process. [Check] answers whether what was read makes sense, and lists every
// problem it finds, not the first.
//
// The package is pure: it opens nothing and asks the host nothing. What only
// the host can answer (does this path exist, has the kernel that sysctl) is
// for others to ask.
package spec
