package plan

// The executor answers on one SOCK_SEQPACKET socket; a report is one packet.
const (
	ReportSize   = 528  // bytes of a report
	ReportDetail = 512  // bytes of its detail, NUL-terminated
	ReplySize    = 4112 // bytes of the largest answer
	ReplyHead    = 16   // bytes before an answer's data
	ReplyData    = 4096 // bytes of data in an answer
)

// TraceEntry is the size in bytes of an operation's entry in a trace: when it
// began and when it ended, in nanoseconds of CLOCK_MONOTONIC.
const TraceEntry = 16

// What a report says.
const (
	ReportFailed = 1 // operation Step failed with Errno; the executor ends
	ReportSync   = 2 // the executor waits at point Aux
	ReportBad    = 3 // the plan itself is damaged; Detail says where
	// ReportListener says that descriptor Aux is the seccomp listener, and
	// waits for nothing.
	ReportListener = 4
)
