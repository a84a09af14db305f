/* SPDX-License-Identifier: GPL-2.0 */
/* Prototypes of the helpers: what the kernel offers C as a macro or an inline function, as functions for Rust. */
#ifndef OVS_HELPERS_H
#define OVS_HELPERS_H

#include <linux/types.h>
#include "compat.h"

void rust_helper_BUG(void);

/* kernel.c */
void *rust_helper_kmalloc(size_t size, u32 flags);
void *rust_helper_kvmalloc(size_t size, u32 flags);
void rust_helper_rcu_read_lock(void);
void rust_helper_rcu_read_unlock(void);
void rust_helper_WARN(void);
unsigned long rust_helper_msecs_to_jiffies(u32 msecs);

/* sync.c */
void rust_helper_ovs_mutex_lock(void);
void rust_helper_ovs_mutex_unlock(void);
void rust_helper_local_bh_disable(void);
void rust_helper_local_bh_enable(void);
void *rust_helper_alloc_percpu(size_t size, size_t align, bool sleep);
void rust_helper_free_percpu(void *base);
void *rust_helper_slab_create(const char *name, size_t size, size_t align);
void *rust_helper_slab_alloc(void *cache, u32 flags);
u32 rust_helper_nr_cpu_ids(void);
bool rust_helper_cpu_possible(u32 cpu);
size_t rust_helper_per_cpu_offset(u32 cpu);
u64 rust_helper_monotonic_ms(void);
u32 rust_helper_jiffies_to_msecs(unsigned long j);

#endif
