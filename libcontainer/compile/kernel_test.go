package compile

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"
)

// The package cannot import x/sys/unix, so its constants are written out: here
// they are compared, each by its name.
func TestConstants(t *testing.T) {
	all := map[string][2]uint64{
		"CLONE_NEWTIME":   {cloneNewtime, unix.CLONE_NEWTIME},
		"CLONE_NEWNS":     {cloneNewns, unix.CLONE_NEWNS},
		"CLONE_NEWCGROUP": {cloneNewcgroup, unix.CLONE_NEWCGROUP},
		"CLONE_NEWUTS":    {cloneNewuts, unix.CLONE_NEWUTS},
		"CLONE_NEWIPC":    {cloneNewipc, unix.CLONE_NEWIPC},
		"CLONE_NEWUSER":   {cloneNewuser, unix.CLONE_NEWUSER},
		"CLONE_NEWPID":    {cloneNewpid, unix.CLONE_NEWPID},
		"CLONE_NEWNET":    {cloneNewnet, unix.CLONE_NEWNET},

		"MOUNT_ATTR_RDONLY":      {attrRdonly, unix.MOUNT_ATTR_RDONLY},
		"MOUNT_ATTR_NOSUID":      {attrNosuid, unix.MOUNT_ATTR_NOSUID},
		"MOUNT_ATTR_NODEV":       {attrNodev, unix.MOUNT_ATTR_NODEV},
		"MOUNT_ATTR_NOEXEC":      {attrNoexec, unix.MOUNT_ATTR_NOEXEC},
		"MOUNT_ATTR__ATIME":      {attrAtimeMask, unix.MOUNT_ATTR__ATIME},
		"MOUNT_ATTR_NOATIME":     {attrNoatime, unix.MOUNT_ATTR_NOATIME},
		"MOUNT_ATTR_STRICTATIME": {attrStrictatime, unix.MOUNT_ATTR_STRICTATIME},
		"MOUNT_ATTR_NODIRATIME":  {attrNodiratime, unix.MOUNT_ATTR_NODIRATIME},
		"MOUNT_ATTR_NOSYMFOLLOW": {attrNosymfollow, unix.MOUNT_ATTR_NOSYMFOLLOW},

		"MS_RDONLY":      {msRdonly, unix.MS_RDONLY},
		"MS_NOSUID":      {msNosuid, unix.MS_NOSUID},
		"MS_NODEV":       {msNodev, unix.MS_NODEV},
		"MS_NOEXEC":      {msNoexec, unix.MS_NOEXEC},
		"MS_SYNCHRONOUS": {msSynchronous, unix.MS_SYNCHRONOUS},
		"MS_REMOUNT":     {msRemount, unix.MS_REMOUNT},
		"MS_MANDLOCK":    {msMandlock, unix.MS_MANDLOCK},
		"MS_DIRSYNC":     {msDirsync, unix.MS_DIRSYNC},
		"MS_NOSYMFOLLOW": {msNosymfollow, unix.MS_NOSYMFOLLOW},
		"MS_NOATIME":     {msNoatime, unix.MS_NOATIME},
		"MS_NODIRATIME":  {msNodiratime, unix.MS_NODIRATIME},
		"MS_BIND":        {msBind, unix.MS_BIND},
		"MS_REC":         {msRec, unix.MS_REC},
		"MS_SILENT":      {msSilent, unix.MS_SILENT},
		"MS_POSIXACL":    {msPosixacl, unix.MS_POSIXACL},
		"MS_UNBINDABLE":  {msUnbindable, unix.MS_UNBINDABLE},
		"MS_PRIVATE":     {msPrivate, unix.MS_PRIVATE},
		"MS_SLAVE":       {msSlave, unix.MS_SLAVE},
		"MS_SHARED":      {msShared, unix.MS_SHARED},
		"MS_RELATIME":    {msRelatime, unix.MS_RELATIME},
		"MS_I_VERSION":   {msIversion, unix.MS_I_VERSION},
		"MS_STRICTATIME": {msStrictatime, unix.MS_STRICTATIME},
		"MS_LAZYTIME":    {msLazytime, unix.MS_LAZYTIME},

		"CAP_SETGID":    {capSetgid, unix.CAP_SETGID},
		"CAP_SETUID":    {capSetuid, unix.CAP_SETUID},
		"CAP_SYS_ADMIN": {capSysAdmin, unix.CAP_SYS_ADMIN},

		"EPERM":  {errEPERM, uint64(unix.EPERM)},
		"ENOENT": {errENOENT, uint64(unix.ENOENT)},
		"EACCES": {errEACCES, uint64(unix.EACCES)},
		"EBUSY":  {errEBUSY, uint64(unix.EBUSY)},
		"EINVAL": {errEINVAL, uint64(unix.EINVAL)},
		"ENOSYS": {errENOSYS, uint64(unix.ENOSYS)},

		"S_IFIFO": {sIFIFO, unix.S_IFIFO},
		"S_IFCHR": {sIFCHR, unix.S_IFCHR},
		"S_IFBLK": {sIFBLK, unix.S_IFBLK},
	}
	for name, pair := range all {
		if pair[0] != pair[1] {
			t.Errorf("%s: %#x here, %#x in the kernel's headers", name, pair[0], pair[1])
		}
	}
	if declared := constants(t, "kernel.go"); declared != len(all) {
		t.Errorf("kernel.go declares %d constants, and %d are compared here", declared, len(all))
	}
}

// constants counts the constants that a file declares.
func constants(t *testing.T, name string) int {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range file.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			n += len(s.(*ast.ValueSpec).Names)
		}
	}
	return n
}

func TestMakedev(t *testing.T) {
	check := func(major, minor int64) {
		t.Helper()
		if got, want := makedev(major, minor), unix.Mkdev(uint32(major), uint32(minor)); got != want {
			t.Errorf("%d:%d: got %#x, want %#x", major, minor, got, want)
		}
	}
	edges := []int64{0, 1, 3, 7, 0xff, 0x100, 0xfff, 0x1000, 0xfffff, 0x100000, 0x7fffffff, 0xffffffff}
	for _, major := range edges {
		for _, minor := range edges {
			check(major, minor)
		}
	}
	for range 1000 {
		check(int64(rand.Uint32()), int64(rand.Uint32()))
	}
}
