package spec

// Rlimit gives the resource number of a limit of getrlimit(2), as
// asm-generic/resource.h counts them. (MIPS, SPARC and Alpha count otherwise;
// berth does not run there.)
func Rlimit(name string) (resource int, known bool) {
	switch name {
	case "RLIMIT_CPU":
		return 0, true
	case "RLIMIT_FSIZE":
		return 1, true
	case "RLIMIT_DATA":
		return 2, true
	case "RLIMIT_STACK":
		return 3, true
	case "RLIMIT_CORE":
		return 4, true
	case "RLIMIT_RSS":
		return 5, true
	case "RLIMIT_NPROC":
		return 6, true
	case "RLIMIT_NOFILE":
		return 7, true
	case "RLIMIT_MEMLOCK":
		return 8, true
	case "RLIMIT_AS":
		return 9, true
	case "RLIMIT_LOCKS":
		return 10, true
	case "RLIMIT_SIGPENDING":
		return 11, true
	case "RLIMIT_MSGQUEUE":
		return 12, true
	case "RLIMIT_NICE":
		return 13, true
	case "RLIMIT_RTPRIO":
		return 14, true
	case "RLIMIT_RTTIME":
		return 15, true
	}
	return 0, false
}
