// SPDX-License-Identifier: GPL-2.0
/*
 * Helpers of rust/kernel/leaf.rs. Included by helpers.c, after sync.c, unless the kernel has a
 * `kernel` crate of its own.
 */
#include <linux/bug.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/printk.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

void rust_helper_BUG(void)
{
	BUG();
}

void *rust_helper_kmalloc(size_t size, u32 flags)
{
	return kmalloc(size, ovs_gfp(flags));
}

void rust_helper_rcu_read_lock(void)
{
	rcu_read_lock();
}

void rust_helper_rcu_read_unlock(void)
{
	rcu_read_unlock();
}

void rust_helper___mutex_init(struct mutex *mutex, const char *name, struct lock_class_key *class)
{
	__mutex_init(mutex, name, class);
}

void rust_helper_mutex_lock(struct mutex *mutex)
{
	mutex_lock(mutex);
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
