package probe

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"berth/libcontainer/facts"
)

// Labels finds out what a config needs to know that asks for an AppArmor
// profile or SELinux labels. A label that the loaded policy does not know is
// an error; label is its field in the config.
func Labels(h *facts.Host, profile string, labels ...Label) error {
	if profile != "" {
		// "Y\n" when it is; /sys/module/apparmor is there also when it is built in.
		enabled, err := os.ReadFile("/sys/module/apparmor/parameters/enabled")
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("process.apparmorProfile: %w", err)
		}
		h.AppArmor = len(enabled) > 0 && enabled[0] == 'Y'
	}
	for i, l := range labels {
		if l.Value == "" {
			continue
		}
		if i == 0 || !h.SELinux {
			h.SELinux = selinuxEnabled()
		}
		if !h.SELinux {
			return nil
		}
		if err := checkLabel(l); err != nil {
			return err
		}
	}
	return nil
}

// Label is an SELinux label and the field of the config that holds it.
type Label struct{ Field, Value string }

const selinuxfs = "/sys/fs/selinux"

// selinuxEnabled says whether a policy is loaded: only then is selinuxfs
// mounted; selinux(8).
func selinuxEnabled() bool {
	var fs unix.Statfs_t
	return unix.Statfs(selinuxfs, &fs) == nil && fs.Type == unix.SELINUX_MAGIC
}

// checkLabel asks the policy; security_check_context(3).
func checkLabel(l Label) error {
	fd, err := unix.Open(selinuxfs+"/context", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("%s: open %s/context: %w", l.Field, selinuxfs, err)
	}
	defer unix.Close(fd)
	_, err = unix.Write(fd, append([]byte(l.Value), 0))
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%s: the loaded SELinux policy has no label %q: correct it, or load the policy that has it", l.Field, l.Value)
	}
	if err != nil {
		return fmt.Errorf("%s: check %q: %w", l.Field, l.Value, err)
	}
	return nil
}
