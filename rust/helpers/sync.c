// SPDX-License-Identifier: GPL-2.0
/* Helpers of rust/sync/sys_kernel.rs. Included by helpers.c. */
#include <linux/bottom_half.h>
#include <linux/cpumask.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/smp.h>
#include <linux/spinlock.h>
#include <linux/swap.h>

/*
 * The bits of the Flags of rust/kernel and, made of any Flags, those of rust/sync/sys_kernel.rs:
 * gfp_t is renumbered between kernels.
 */
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
		gfp |= GFP_NOWAIT | __GFP_NOMEMALLOC; /* also where the task may use reserves */
	return gfp;
}

void *rust_helper_kvmalloc(size_t size, u32 flags)
{
	return kvmalloc(size, ovs_gfp(flags));
}

void rust_helper_cond_resched(void)
{
	cond_resched();
}

void rust_helper_call_rcu(struct rcu_head *head, rcu_callback_t func)
{
	call_rcu(head, func);
}

void rust_helper_synchronize_rcu(void)
{
	synchronize_rcu();
}

#ifdef HAVE_POLL_STATE_SYNCHRONIZE_RCU
unsigned long rust_helper_get_state_synchronize_rcu(void)
{
	return get_state_synchronize_rcu();
}

bool rust_helper_poll_state_synchronize_rcu(unsigned long cookie)
{
	return poll_state_synchronize_rcu(cookie);
}
#else
/*
 * Grace periods counted by a callback of our own, which is queued only while somebody waits. A
 * cookie is the count that will have been reached when a grace period that began after the cookie
 * was taken is over. If the callback is queued already, its grace period may have begun before:
 * then it takes the next one, for which the callback queues itself again. It does so at most once
 * after the last cookie, so that two rcu_barrier() see its end.
 */
static DEFINE_SPINLOCK(ovs_gp_lock); /* all of the following; the count is read without it */
static struct rcu_head ovs_gp_head;
static unsigned long ovs_gp_count;
static unsigned long ovs_gp_wanted;
static bool ovs_gp_queued;

static void ovs_gp_over(struct rcu_head *head)
{
	spin_lock_bh(&ovs_gp_lock);
	/*
	 * What the readers did happens before, and so before what is done by whoever sees the
	 * count.
	 */
	smp_store_release(&ovs_gp_count, ovs_gp_count + 1);
	ovs_gp_queued = ovs_gp_wanted != ovs_gp_count;
	if (ovs_gp_queued)
		call_rcu(head, ovs_gp_over);
	spin_unlock_bh(&ovs_gp_lock);
}

unsigned long rust_helper_get_state_synchronize_rcu(void)
{
	unsigned long cookie;

	spin_lock_bh(&ovs_gp_lock);
	cookie = ovs_gp_count + 1;
	if (ovs_gp_queued)
		cookie++;
	else
		call_rcu(&ovs_gp_head, ovs_gp_over);
	ovs_gp_queued = true;
	ovs_gp_wanted = cookie;
	spin_unlock_bh(&ovs_gp_lock);
	return cookie;
}

bool rust_helper_poll_state_synchronize_rcu(unsigned long cookie)
{
	/* Pairs with the release in ovs_gp_over(). */
	return (long)(smp_load_acquire(&ovs_gp_count) - cookie) >= 0;
}
#endif

void rust_helper_local_bh_disable(void)
{
	local_bh_disable();
}

void rust_helper_local_bh_enable(void)
{
	local_bh_enable();
}

/* One lockdep class for all: each is a leaf, and none nests in another. */
void rust_helper_spin_lock_init(spinlock_t *lock)
{
	memset(lock, 0, sizeof(*lock));
	spin_lock_init(lock);
}

void rust_helper_ovs_spin_lock(spinlock_t *lock)
{
	spin_lock(lock);
}

void rust_helper_ovs_spin_unlock(spinlock_t *lock)
{
	spin_unlock(lock);
}

/*
 * Where __percpu is an address space of the compiler's, only a number leads into it and out of it
 * without a warning.
 */
void *rust_helper_alloc_percpu(size_t size, size_t align, bool sleep)
{
	void __percpu *base =
		__alloc_percpu_gfp(size, align, sleep ? GFP_KERNEL : GFP_NOWAIT | __GFP_NOWARN);

	return (void *)(__force unsigned long)base;
}

void rust_helper_free_percpu(void *base)
{
	free_percpu((void __percpu *)(__force unsigned long)base);
}

/* A cache with a usercopy region is never merged with another one. */
void *rust_helper_slab_create(const char *name, size_t size, size_t align)
{
	return kmem_cache_create_usercopy(name, size, align, 0, 0, min_t(size_t, size, 8), NULL);
}

void *rust_helper_slab_alloc(void *cache, u32 flags)
{
	return kmem_cache_alloc(cache, ovs_gfp(flags));
}

u32 rust_helper_this_cpu(void)
{
	return raw_smp_processor_id();
}

u32 rust_helper_nr_cpu_ids(void)
{
	return nr_cpu_ids;
}

bool rust_helper_cpu_possible(u32 cpu)
{
	return cpu_possible(cpu);
}

size_t rust_helper_per_cpu_offset(u32 cpu)
{
	return per_cpu_offset(cpu);
}

u64 rust_helper_monotonic_ms(void)
{
	return ktime_to_ms(ktime_get());
}

u64 rust_helper_buffer_memory(void)
{
	return (u64)nr_free_buffer_pages() << PAGE_SHIFT;
}

u32 rust_helper_jiffies_to_msecs(unsigned long j)
{
	return jiffies_to_msecs(j);
}

#ifdef HAVE_PCPU_HOT
/* rust/sync/sys_kernel.rs reads it there. */
static_assert(offsetof(struct pcpu_hot, cpu_number) == 12);
#endif
