// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0

// Stands in for a processor that encrypts virtual machines, which cannot be emulated: it has three keys of the kind
// that the kernel's misc controller counts as sev (Documentation/admin-guide/cgroup-v2.rst), and whoever opens
// /proc/misc_keys holds one of them until they close it. The limit is the controller's.

#include <linux/fs.h>
#include <linux/misc_cgroup.h>
#include <linux/module.h>
#include <linux/proc_fs.h>

static int take_key(struct inode *inode, struct file *file)
{
	struct misc_cg *cg = get_current_misc_cg();
	int err = misc_cg_try_charge(MISC_CG_RES_SEV, cg, 1);

	if (err) {
		put_misc_cg(cg);
		return err;
	}
	file->private_data = cg;
	return 0;
}

static int return_key(struct inode *inode, struct file *file)
{
	struct misc_cg *cg = file->private_data;

	misc_cg_uncharge(MISC_CG_RES_SEV, cg, 1);
	put_misc_cg(cg);
	return 0;
}

static const struct proc_ops keys = {
	.proc_open = take_key,
	.proc_release = return_key,
};

static int __init begin(void)
{
	int err = misc_cg_set_capacity(MISC_CG_RES_SEV, 3);

	if (err)
		return err;
	if (!proc_create("misc_keys", 0444, NULL, &keys)) {
		misc_cg_set_capacity(MISC_CG_RES_SEV, 0);
		return -ENOMEM;
	}
	return 0;
}

static void __exit end(void)
{
	remove_proc_entry("misc_keys", NULL);
	misc_cg_set_capacity(MISC_CG_RES_SEV, 0);
}

module_init(begin);
module_exit(end);
MODULE_DESCRIPTION("keys for the misc controller to count");
MODULE_LICENSE("GPL"); // as the controller's functions ask for
