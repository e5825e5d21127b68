#include "textflag.h"

// entry is where the kernel starts the program (-E in the Makefile). It adds
// GOMAXPROCS=01 to the end of the environment, where one of the user's comes first,
// and goes on to Go's own entry: docs/decisions/012-one-processor.md.
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
	JMP	_rt0_amd64_linux(SB)

DATA	gomaxprocs<>+0(SB)/8, $"GOMAXPRO"
DATA	gomaxprocs<>+8(SB)/8, $"CS=01\x00\x00\x00"
GLOBL	gomaxprocs<>(SB), RODATA|NOPTR, $16
