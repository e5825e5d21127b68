#include "textflag.h"

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	MOVD	$handler<>(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	MOVD	ZR, ret+0(FP)
	RET

// handler(number R0, siginfo R1, ucontext R2): the kernel calls it by the C ABI,
// with its own restorer in the link register.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0
	MOVW	8(R1), R3	// si_code: above 0 it is the kernel that speaks
	CMPW	$0, R3
	BLE	sent
	CMPW	$4, R0		// SIGILL
	BEQ	fault
	CMPW	$5, R0		// SIGTRAP
	BEQ	fault
	CMPW	$7, R0		// SIGBUS
	BEQ	fault
	CMPW	$8, R0		// SIGFPE
	BEQ	fault
	CMPW	$11, R0		// SIGSEGV
	BEQ	fault
	CMPW	$31, R0		// SIGSYS
	BEQ	fault
sent:
	CMPW	$13, R0		// SIGPIPE
	BNE	tell
	MOVD	R0, R4
	MOVD	$172, R8	// getpid(2)
	SVC
	MOVW	16(R1), R3	// si_pid: a write of this process's own
	CMPW	R3, R0
	BEQ	done
	MOVD	R4, R0
tell:
	SUB	$16, RSP
	MOVB	R0, (RSP)
	MOVW	·pipeEnd(SB), R0
	MOVD	RSP, R1
	MOVD	$1, R2
	MOVD	$64, R8		// write(2)
	SVC
	ADD	$16, RSP
done:
	RET
fault:
	MOVD	·goHandler(SB), R3
	JMP	(R3)
