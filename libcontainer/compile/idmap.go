package compile

import "berth/libcontainer/plan"

// canRecurse refuses what kernels before mount_setattr(2) cannot do.
func (c *compiler) canRecurse(origin plan.Origin, o *options) bool {
	if o.recSet|o.recClear == 0 || c.Host.MountSetattr {
		return true
	}
	c.problem(origin, "recursive options (rro, rnosuid and their like) need Linux 5.12, and this is "+c.Host.Kernel.String()+": use the ones without r, or a newer kernel")
	return false
}
