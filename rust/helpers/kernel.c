// SPDX-License-Identifier: GPL-2.0
/* Helpers of rust/kernel/leaf.rs. Included by helpers.c. */
#include <linux/bug.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

/* The bits of kernel::alloc::Flags: gfp_t is renumbered between kernels. */
static __always_inline gfp_t ovs_gfp(u32 flags)
{
	gfp_t gfp = 0;

	if (flags & BIT(0))
		gfp |= GFP_KERNEL;
	if (flags & BIT(1))
		gfp |= GFP_ATOMIC;
	if (flags & BIT(2))
		gfp |= __GFP_ZERO;
	if (flags & BIT(3))
		gfp |= __GFP_NOWARN;
	if (flags & BIT(4))
		gfp |= __GFP_ACCOUNT;
	if (flags & BIT(5))
		gfp |= GFP_NOWAIT;
	return gfp;
}

void *rust_helper_kmalloc(size_t size, u32 flags)
{
	return kmalloc(size, ovs_gfp(flags));
}

void *rust_helper_kvmalloc(size_t size, u32 flags)
{
	return kvmalloc(size, ovs_gfp(flags));
}

void rust_helper_rcu_read_lock(void)
{
	rcu_read_lock();
}

void rust_helper_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

void rust_helper_WARN(void)
{
	WARN_ON(1);
}

/* level: the digit of KERN_*. */
void rust_helper_printk(u8 level, const char *prefix, const char *text)
{
	printk(KERN_SOH "%c%s: %s", level, prefix, text);
}

unsigned long rust_helper_msecs_to_jiffies(u32 msecs)
{
	return msecs_to_jiffies(msecs);
}
