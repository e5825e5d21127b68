#include "textflag.h"
#include "slack.h"

// entry adds GOMAXPROCS=01 to the end of the environment, where one of the user's comes
// first, leaves Go's runtime no descriptors to open files with, lets its monitor sleep long,
// has what it starts with mapped at once, and goes on to Go's own entry.
//
// The stack holds argc, argv, 0, envp, 0 and the auxiliary vector (System V ABI,
// AMD64 supplement, 3.4.1). All before the last 0 moves down by two words, as the
// stack stays aligned to them; both get the string.
TEXT ·entry(SB),NOSPLIT|NOFRAME|TOPFRAME,$0
	MOVQ	0(SP), CX
	ADDQ	$2, CX
	MOVQ	SP, SI
	SUBQ	$16, SP
	MOVQ	SP, DI
	CLD
	REP; MOVSQ	// argc, argv and its 0
env:
	MOVQ	0(SI), AX
	TESTQ	AX, AX
	JZ	end
	MOVSQ
	JMP	env
end:
	LEAQ	gomaxprocs<>(SB), AX
	MOVQ	AX, 0(DI)
	MOVQ	AX, 8(DI)

	LEAQ	·files(SB), R10
	XORL	DX, DX
	CALL	prlimit<>(SB)
	MOVQ	·files(SB), AX
	CMPQ	AX, $3
	JLS	leave	// no more as it is, or the kernel refused to tell
	MOVQ	·files+8(SB), AX
	MOVQ	AX, few<>+8(SB)
	LEAQ	few<>(SB), DX
	XORL	R10, R10
	CALL	prlimit<>(SB)
leave:

	MOVL	$30, DI	// PR_GET_TIMERSLACK
	MOVL	$157, AX	// prctl(2)
	SYSCALL
	LEAQ	-1(AX), CX
	CMPQ	CX, $(SLACK-1)
	JHS	slack	// it has none (a real-time process) or as much, or the kernel refused to tell
	MOVQ	AX, ·timerSlack(SB)
	MOVL	$SLACK, SI
	CALL	setTimerSlack<>(SB)
slack:

	// Of the tables behind the constants a command reads little. Their second half is a
	// mapping of its own, and what lies in two of those the kernel maps in no page of 2 MB.
	LEAQ	runtime·erodata(SB), DI
	LEAQ	runtime·epclntab(SB), SI
	ADDQ	SI, DI
	SHRQ	$1, DI
	MOVQ	$15, DX	// MADV_NOHUGEPAGE
	LEAQ	madvise<>(SB), AX
	CALL	AX

	// Code and constants, then variables: those without pointers but for the large ones at
	// their end (the seccomp generator), those with, and of the empty ones not the middle,
	// which most commands leave alone.
	LEAQ	runtime·text(SB), DI
	LEAQ	runtime·erodata(SB), SI
	MOVQ	$22, DX	// MADV_POPULATE_READ
	LEAQ	madvise<>(SB), AX
	CALL	AX
	LEAQ	runtime·noptrdata(SB), DI
	LEAQ	runtime·noptrdata+0xe000(SB), SI
	MOVQ	$23, DX	// MADV_POPULATE_WRITE
	LEAQ	madvise<>(SB), AX
	CALL	AX
	LEAQ	runtime·data(SB), DI
	LEAQ	runtime·bss+0x4000(SB), SI
	LEAQ	madvise<>(SB), AX
	CALL	AX
	LEAQ	runtime·ebss-0x8000(SB), DI
	LEAQ	runtime·ebss+0x6000(SB), SI
	LEAQ	madvise<>(SB), AX
	CALL	AX

	MOVQ	·memProfileRate(SB), AX
	MOVQ	$0, 0(AX)
	JMP	_rt0_amd64_linux(SB)

// func restoreFiles()
TEXT ·restoreFiles(SB),NOSPLIT,$0-0
	LEAQ	·files(SB), DX
	XORL	R10, R10
	JMP	prlimit<>(SB)

// func RestoreTimerSlack()
TEXT ·RestoreTimerSlack(SB),NOSPLIT,$0-0
	MOVQ	·timerSlack(SB), SI
	TESTQ	SI, SI
	JZ	asItWas
	JMP	setTimerSlack<>(SB)
asItWas:
	RET

// setTimerSlack sets this thread's to SI nanoseconds.
TEXT setTimerSlack<>(SB),NOSPLIT|NOFRAME,$0
	MOVL	$29, DI	// PR_SET_TIMERSLACK
	MOVL	$157, AX	// prctl(2)
	SYSCALL
	RET

// prlimit sets RLIMIT_NOFILE to what DX points to, and has what it was written to where R10
// points; 0 for neither.
TEXT prlimit<>(SB),NOSPLIT|NOFRAME,$0
	XORL	DI, DI
	MOVL	$7, SI	// RLIMIT_NOFILE
	MOVL	$302, AX	// prlimit64(2)
	SYSCALL
	RET

// func populate(start, end uintptr)
TEXT ·populate(SB),NOSPLIT,$0-16
	MOVQ	start+0(FP), DI
	MOVQ	end+8(FP), SI
	MOVQ	$23, DX	// MADV_POPULATE_WRITE
	JMP	madvise<>(SB)

// madvise gives the advice DX for the pages from DI to before SI. What the kernel answers
// is no matter: without it the pages come one by one.
TEXT madvise<>(SB),NOSPLIT|NOFRAME,$0
	ANDQ	$~0xfff, DI
	SUBQ	DI, SI
	MOVQ	$28, AX	// madvise(2)
	SYSCALL
	RET

DATA	gomaxprocs<>+0(SB)/8, $"GOMAXPRO"
DATA	gomaxprocs<>+8(SB)/8, $"CS=01\x00\x00\x00"
GLOBL	gomaxprocs<>(SB), RODATA|NOPTR, $16

DATA	few<>+0(SB)/8, $3	// and the hard limit
GLOBL	few<>(SB), NOPTR, $16
