#include "textflag.h"

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
	B	_rt0_arm64_linux(SB)

DATA	gomaxprocs<>+0(SB)/8, $"GOMAXPRO"
DATA	gomaxprocs<>+8(SB)/8, $"CS=01\x00\x00\x00"
GLOBL	gomaxprocs<>(SB), RODATA|NOPTR, $16
