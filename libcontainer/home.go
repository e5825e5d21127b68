package libcontainer

import (
	"io"
	"os"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"
)

// passwdMax bounds how much of an image's passwd is read, in bytes.
const passwdMax = 1 << 20

// homeFolder returns the home folder of uid as the container's passwd has it,
// or "/" where it has none: what HOME is when the config does not set it. The
// descriptor is a regular file of the image; nothing else about it is trusted.
func homeFolder(passwd int, uid uint32) string {
	if passwd < 0 {
		return "/"
	}
	fd, err := unix.FcntlInt(uintptr(passwd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return "/"
	}
	f := os.NewFile(uintptr(fd), "passwd")
	defer f.Close()
	users, err := user.ParsePasswdFilter(io.LimitReader(f, passwdMax), func(u user.User) bool { return u.Uid == int(uid) })
	if err != nil || len(users) == 0 || users[0].Home == "" {
		return "/"
	}
	for _, r := range users[0].Home {
		if r < ' ' {
			return "/"
		}
	}
	if len(users[0].Home) > unix.PathMax {
		return "/"
	}
	return users[0].Home
}
