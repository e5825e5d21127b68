#include "textflag.h"
#include "slack.h"

// entry is what entry_amd64.s says.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVD	0(RSP), R1
	ADD	$2, R1
	MOVD	RSP, R2
	SUB	$16, RSP
	MOVD	RSP, R3
argv:
	MOVD.P	8(R2), R4
	MOVD.P	R4, 8(R3)
	SUBS	$1, R1
	BNE	argv
env:
	MOVD.P	8(R2), R4
	CBZ	R4, end
	MOVD.P	R4, 8(R3)
	B	env
end:
	MOVD	$gomaxprocs<>(SB), R4
	MOVD	R4, 0(R3)
	MOVD	R4, 8(R3)

	MOVD	ZR, R2
	MOVD	$·files(SB), R3
	CALL	prlimit<>(SB)
	MOVD	·files(SB), R4
	CMP	$3, R4
	BLS	leave
	MOVD	·files+8(SB), R5
	MOVD	R5, few<>+8(SB)
	MOVD	$few<>(SB), R2
	MOVD	ZR, R3
	CALL	prlimit<>(SB)
leave:

	MOVD	$30, R0	// PR_GET_TIMERSLACK
	MOVD	$167, R8	// prctl(2)
	SVC
	SUB	$1, R0, R4
	MOVD	$(SLACK-1), R5
	CMP	R5, R4
	BHS	slack
	MOVD	R0, ·timerSlack(SB)
	MOVD	$SLACK, R1
	CALL	setTimerSlack<>(SB)
slack:

	MOVD	$runtime·text(SB), R0
	MOVD	$runtime·erodata(SB), R1
	MOVD	$22, R2	// MADV_POPULATE_READ
	CALL	madvise<>(SB)
	MOVD	$runtime·noptrdata(SB), R0
	MOVD	$runtime·noptrdata+0xe000(SB), R1
	MOVD	$23, R2	// MADV_POPULATE_WRITE
	CALL	madvise<>(SB)
	MOVD	$runtime·data(SB), R0
	MOVD	$runtime·bss+0x4000(SB), R1
	CALL	madvise<>(SB)
	MOVD	$runtime·ebss-0x8000(SB), R0
	MOVD	$runtime·ebss+0x6000(SB), R1
	CALL	madvise<>(SB)

	MOVD	·memProfileRate(SB), R4
	MOVD	ZR, 0(R4)
	B	_rt0_arm64_linux(SB)

// func restoreFiles()
TEXT ·restoreFiles(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	$·files(SB), R2
	MOVD	ZR, R3
	B	prlimit<>(SB)

// func RestoreTimerSlack()
TEXT ·RestoreTimerSlack(SB),NOSPLIT|NOFRAME,$0-0
	MOVD	·timerSlack(SB), R1
	CBZ	R1, asItWas
	B	setTimerSlack<>(SB)
asItWas:
	RET

// setTimerSlack sets this thread's to R1 nanoseconds.
TEXT setTimerSlack<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	$29, R0	// PR_SET_TIMERSLACK
	MOVD	$167, R8	// prctl(2)
	SVC
	RET

// prlimit sets RLIMIT_NOFILE to what R2 points to, and has what it was written to where R3
// points; 0 for neither.
TEXT prlimit<>(SB),NOSPLIT|NOFRAME,$0
	MOVD	ZR, R0
	MOVD	$7, R1	// RLIMIT_NOFILE
	MOVD	$261, R8	// prlimit64(2)
	SVC
	RET

// func populate(start, end uintptr)
TEXT ·populate(SB),NOSPLIT|NOFRAME,$0-16
	MOVD	start+0(FP), R0
	MOVD	end+8(FP), R1
	MOVD	$23, R2	// MADV_POPULATE_WRITE
	B	madvise<>(SB)

// madvise gives the advice R2 for the pages from R0 to before R1. What the kernel answers
// is no matter: without it, or with larger pages, they come one by one.
TEXT madvise<>(SB),NOSPLIT|NOFRAME,$0
	AND	$~0xfff, R0
	SUB	R0, R1
	MOVD	$233, R8	// madvise(2)
	SVC
	RET

DATA	gomaxprocs<>+0(SB)/8, $"GOMAXPRO"
DATA	gomaxprocs<>+8(SB)/8, $"CS=01\x00\x00\x00"
GLOBL	gomaxprocs<>(SB), RODATA|NOPTR, $16

DATA	few<>+0(SB)/8, $3	// and the hard limit
GLOBL	few<>(SB), NOPTR, $16
