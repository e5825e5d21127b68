package compile

// Constants of the kernel's interface. They are written out because this
// package imports neither os nor x/sys/unix; kernel_test.go compares them.

// CLONE_NEW* bits; clone(2).
const (
	cloneNewtime   = 0x80
	cloneNewns     = 0x20000
	cloneNewcgroup = 0x2000000
	cloneNewuts    = 0x4000000
	cloneNewipc    = 0x8000000
	cloneNewuser   = 0x10000000
	cloneNewpid    = 0x20000000
	cloneNewnet    = 0x40000000
)

// Capabilities; capabilities(7).
const (
	capSetgid   = 6
	capSetuid   = 7
	capSysAdmin = 21
)

// MOUNT_ATTR_* bits; mount_setattr(2).
const (
	attrRdonly      = 0x1
	attrNosuid      = 0x2
	attrNodev       = 0x4
	attrNoexec      = 0x8
	attrAtimeMask   = 0x70
	attrNoatime     = 0x10
	attrStrictatime = 0x20
	attrNodiratime  = 0x80
	attrNosymfollow = 0x200000
)

// MS_* bits; mount(2).
const (
	msRdonly      = 0x1
	msNosuid      = 0x2
	msNodev       = 0x4
	msNoexec      = 0x8
	msSynchronous = 0x10
	msRemount     = 0x20
	msMandlock    = 0x40
	msDirsync     = 0x80
	msNosymfollow = 0x100
	msNoatime     = 0x400
	msNodiratime  = 0x800
	msBind        = 0x1000
	msRec         = 0x4000
	msSilent      = 0x8000
	msPosixacl    = 0x10000
	msUnbindable  = 0x20000
	msPrivate     = 0x40000
	msSlave       = 0x80000
	msShared      = 0x100000
	msRelatime    = 0x200000
	msIversion    = 0x800000
	msStrictatime = 0x1000000
	msLazytime    = 0x2000000
)

// Error numbers that are the same on every architecture served; errno(3).
const (
	errEPERM  = 1
	errENOENT = 2
	errEACCES = 13
	errEBUSY  = 16
	errEINVAL = 22
	errENOSYS = 38
)

// File type bits of mknod(2).
const (
	sIFIFO = 0x1000
	sIFCHR = 0x2000
	sIFBLK = 0x6000
)

// makedev packs a device number as makedev(3) does.
func makedev(major, minor int64) uint64 {
	ma, mi := uint64(major), uint64(minor)
	return mi&0xff | ma&0xfff<<8 | mi&^0xff<<12 | ma&^0xfff<<32
}
