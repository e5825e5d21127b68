#include "textflag.h"

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	LEAQ	handler<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	LEAQ	restorer<>(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// handler(number DI, siginfo SI, ucontext DX): the kernel calls it by the C ABI
// and gives all registers back behind it.
TEXT handler<>(SB), NOSPLIT|NOFRAME, $0
	CMPL	8(SI), $0	// si_code: above 0 it is the kernel that speaks
	JLE	sent
	CMPL	DI, $4		// SIGILL
	JEQ	fault
	CMPL	DI, $5		// SIGTRAP
	JEQ	fault
	CMPL	DI, $7		// SIGBUS
	JEQ	fault
	CMPL	DI, $8		// SIGFPE
	JEQ	fault
	CMPL	DI, $11		// SIGSEGV
	JEQ	fault
	CMPL	DI, $31		// SIGSYS
	JEQ	fault
sent:
	CMPL	DI, $13		// SIGPIPE
	JNE	tell
	MOVL	$39, AX		// getpid(2)
	SYSCALL
	CMPL	AX, 16(SI)	// si_pid: a write of this process's own
	JEQ	done
tell:
	SUBQ	$24, SP
	MOVB	DI, 8(SP)
	MOVL	·pipeEnd(SB), DI
	LEAQ	8(SP), SI
	MOVL	$1, DX
	MOVL	$1, AX		// write(2)
	SYSCALL
	ADDQ	$24, SP
done:
	RET
fault:
	MOVQ	·goHandler(SB), AX
	JMP	AX

TEXT restorer<>(SB), NOSPLIT|NOFRAME, $0
	MOVL	$15, AX		// rt_sigreturn(2)
	SYSCALL
	INT	$3		// not reached
