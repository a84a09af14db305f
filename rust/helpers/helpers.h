/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prototypes of the helpers: what the kernel offers C as a macro or an inline function, as
 * functions for Rust.
 */
#ifndef OVS_HELPERS_H
#define OVS_HELPERS_H

#include <linux/spinlock.h>
#include <linux/types.h>
#include <uapi/linux/netfilter/nf_nat.h>
#include "compat.h"

struct nf_conn;
struct nf_conncount_data;
struct nf_conntrack_helper;

/* kernel.c */
void rust_helper_BUG(void);
void *rust_helper_kmalloc(size_t size, u32 flags);
void rust_helper_rcu_read_lock(void);
void rust_helper_rcu_read_unlock(void);
void rust_helper___mutex_init(struct mutex *mutex, const char *name, struct lock_class_key *class);
void rust_helper_mutex_lock(struct mutex *mutex);
void rust_helper_WARN(void);
void rust_helper_printk(u8 level, const char *prefix, const char *text);
unsigned long rust_helper_msecs_to_jiffies(u32 msecs);

/* sync.c */
void *rust_helper_kvmalloc(size_t size, u32 flags);
void rust_helper_call_rcu(struct rcu_head *head, rcu_callback_t func);
void rust_helper_synchronize_rcu(void);
unsigned long rust_helper_get_state_synchronize_rcu(void);
bool rust_helper_poll_state_synchronize_rcu(unsigned long cookie);
void rust_helper_cond_resched(void);
void rust_helper_local_bh_disable(void);
void rust_helper_local_bh_enable(void);
void rust_helper_spin_lock_init(spinlock_t *lock);
void rust_helper_ovs_spin_lock(spinlock_t *lock);
void rust_helper_ovs_spin_unlock(spinlock_t *lock);
void *rust_helper_alloc_percpu(size_t size, size_t align, bool sleep);
void rust_helper_free_percpu(void *base);
void *rust_helper_slab_create(const char *name, size_t size, size_t align);
void *rust_helper_slab_alloc(void *cache, u32 flags);
u32 rust_helper_this_cpu(void);
u32 rust_helper_nr_cpu_ids(void);
bool rust_helper_cpu_possible(u32 cpu);
size_t rust_helper_per_cpu_offset(u32 cpu);
u64 rust_helper_monotonic_ms(void);
u64 rust_helper_buffer_memory(void);
u32 rust_helper_jiffies_to_msecs(unsigned long j);

/* skbuff.c */
void rust_helper_consume_skb(struct sk_buff *skb);
u32 rust_helper_skb_get_hash(struct sk_buff *skb);
u32 rust_helper_skb_get_hash_symmetric(struct sk_buff *skb);
struct sk_buff *rust_helper_skb_alloc_linear(unsigned int len);
struct sk_buff *rust_helper_skb_share_check(struct sk_buff *skb);
int rust_helper_pskb_trim(struct sk_buff *skb, unsigned int len);
void rust_helper_skb_forget_sum(struct sk_buff *skb);
bool rust_helper_skb_may_grow(const struct sk_buff *skb, unsigned int len);
void rust_helper_skb_push_rcsum(struct sk_buff *skb, unsigned int len);
int rust_helper_skb_vlan_untag(struct sk_buff *skb);
struct sk_buff *rust_helper_skb_clone_vlan_inside(struct sk_buff *skb);
int rust_helper_skb_eth_push(struct sk_buff *skb, const u8 *dst, const u8 *src);
int rust_helper_skb_eth_pop(struct sk_buff *skb);
void rust_helper_nf_reset_ct(struct sk_buff *skb);
__le32 rust_helper_sctp_compute_cksum(const struct sk_buff *skb, unsigned int off);
struct sk_buff *rust_helper_skb_gso_segment(struct sk_buff *skb);
bool rust_helper_skb_segments_fit(const struct sk_buff *skb, unsigned int len);
void rust_helper_kfree_skb_reason(struct sk_buff *skb, u32 reason);
int rust_helper_skb_append(struct sk_buff *to, struct sk_buff *from, unsigned int len,
			   unsigned int hlen);
int rust_helper_skb_tailroom(const struct sk_buff *skb);

/* mpls.c */
int rust_helper_skb_mpls_push(struct sk_buff *skb, __be32 entry, __be16 type, int l2_len);
int rust_helper_skb_mpls_pop(struct sk_buff *skb, __be16 type, bool ethernet);

/* nsh.c */
int rust_helper_nsh_push(struct sk_buff *skb, const u8 *header);
int rust_helper_nsh_pop(struct sk_buff *skb);

/* psample.c */
struct ovs_sample {
	const u8 *cookie;
	u32 cookie_len;
	u32 group;
	u32 probability; /* of U32_MAX */
	u32 len; /* bytes of the packet to show */
	int in_ifindex;
};

void rust_helper_psample(struct net *net, const struct sk_buff *skb,
			 const struct ovs_sample *sample);

/* tc.c */
struct ovs_tc_ext {
	u32 chain;
	u16 mru;
	u16 zone; /* of a packet that has no connection */
	bool post_ct;
	bool snat;
	bool dnat;
};

void rust_helper_tc_share(bool on);
bool rust_helper_tc_ext(const struct sk_buff *skb, struct ovs_tc_ext *ext);

/* tunnel.c */
enum ovs_tun_flag {
	OVS_TUN_KEY = 1 << 0,
	OVS_TUN_DONT_FRAGMENT = 1 << 1,
	OVS_TUN_CSUM = 1 << 2,
	OVS_TUN_OAM = 1 << 3,
	OVS_TUN_GENEVE_OPT = 1 << 4,
	OVS_TUN_VXLAN_OPT = 1 << 5,
	OVS_TUN_ERSPAN_OPT = 1 << 6,
	OVS_TUN_CRIT_OPT = 1 << 7, /* to be sent only */
};

/*
 * What a key has of a tunnel. IPv4 addresses are the first 4 bytes; options belong to the packet.
 */
struct ovs_tunnel {
	__be64 id;
	const u8 *options;
	u8 src[16];
	u8 dst[16];
	__be16 tp_src;
	__be16 tp_dst;
	u16 flags;
	u8 tos;
	u8 ttl;
	u8 options_len;
	bool ipv6;
};

bool rust_helper_skb_rx_tunnel(const struct sk_buff *skb, struct ovs_tunnel *t);
bool rust_helper_skb_egress_tunnel(struct sk_buff *skb, struct net_device *dev,
				   struct ovs_tunnel *t);
void *rust_helper_tx_tunnel_alloc(const struct ovs_tunnel *t);
void rust_helper_tx_tunnel_put(void *tunnel);
void rust_helper_skb_set_tunnel(struct sk_buff *skb, void *tunnel);

/* tunnel_dev.c */
enum ovs_tunnel_driver { OVS_DRIVER_GRETAP, OVS_DRIVER_VXLAN, OVS_DRIVER_GENEVE };

void *rust_helper_tunnel_driver_get(enum ovs_tunnel_driver driver);
void rust_helper_tunnel_driver_put(enum ovs_tunnel_driver driver);
int rust_helper_tunnel_dev_create(enum ovs_tunnel_driver driver, void *create, struct net *net,
				  const char *name, u16 *port, bool gbp, struct net_device **dev);
int rust_helper_dev_set_up(struct net_device *dev);
void rust_helper_dev_delete(struct net_device *dev, struct list_head *leaving);

/* netdev.c */
int rust_helper_dev_xmit(struct sk_buff *skb, struct net_device *dev);
void rust_helper_dev_receive(struct sk_buff *skb, struct net_device *dev);
void rust_helper_dev_count_tx_error(struct net_device *dev);
void rust_helper_dev_count_tx(struct net_device *dev, unsigned int len);
void rust_helper_dev_hold(struct net_device *dev);
void rust_helper_dev_put(struct net_device *dev);
void rust_helper_netif_stop_queue(struct net_device *dev);
struct net_device *rust_helper_next_net_device(struct net *net, struct net_device *dev);
unsigned int rust_helper_netdev_get_fwd_headroom(struct net_device *dev);
void rust_helper_netdev_set_rx_headroom(struct net_device *dev, int headroom);
void rust_helper_netdev_reset_rx_headroom(struct net_device *dev);
bool rust_helper_netif_is_ovs_port(const struct net_device *dev);
void rust_helper_netif_set_ovs_port(struct net_device *dev);
void rust_helper_netif_clear_ovs_port(struct net_device *dev);
bool rust_helper_netif_is_registered(const struct net_device *dev);

/* frag.c */
#define OVS_FRAG_L2_MAX 30 /* Ethernet, a tag, and three more words: VLAN_ETH_HLEN + 3 * 4 */
void rust_helper_fragment(struct sk_buff *skb, struct net_device *dev, struct net *net, u16 mru,
			  bool ipv6, bool internal);

/* genetlink.c */
struct net *rust_helper_genl_info_net(struct genl_info *info);
struct net *rust_helper_skb_sk_net(const struct sk_buff *skb);
u32 rust_helper_netlink_cb_portid(struct netlink_callback *cb);
struct netlink_ext_ack *rust_helper_netlink_cb_extack(const struct netlink_callback *cb);
struct sk_buff *rust_helper_nlmsg_alloc(unsigned int size, bool atomic);
int rust_helper_genlmsg_reply(struct sk_buff *skb, struct genl_info *info);
int rust_helper_genlmsg_unicast(struct net *net, struct sk_buff *skb, u32 portid);
int rust_helper_genlmsg_multicast_netns(const struct genl_family *family, struct net *net,
					struct sk_buff *skb);
bool rust_helper_family_has_listeners(const struct genl_family *family, struct net *net);
void rust_helper_genl_set_err(const struct genl_family *family, struct net *net, int err);

/* conntrack.c */

/* What becomes of a packet. */
enum ovs_ct_verdict { OVS_CT_ACCEPT, OVS_CT_DROP, OVS_CT_STOLEN };

#define OVS_CT_CONFIRMED 1
#define OVS_CT_MASTER 2
#define OVS_CT_SRC_NAT 4
#define OVS_CT_DST_NAT 8
#define OVS_CT_SHARED 16 /* not confirmed, and more than one packet's */
#define OVS_CT_IPV6 32 /* src and dst are */

/*
 * A connection and a packet's place in it. src to proto: the first packet's, the master's if there
 * is one; host order.
 */
struct ovs_ct_conn {
	u8 labels[16];
	u8 src[16];
	u8 dst[16];
	u32 mark;
	u16 zone;
	u16 tp_src;
	u16 tp_dst;
	u8 proto;
	u8 ctinfo; /* enum ip_conntrack_info */
	u8 flags; /* OVS_CT_* */
};

void rust_helper_ct_untrack(struct sk_buff *skb);
int rust_helper_pskb_trim_rcsum(struct sk_buff *skb, unsigned int len);
bool rust_helper_ct_describe(const struct sk_buff *skb, struct ovs_ct_conn *out);
bool rust_helper_ct_find(struct net *net, struct sk_buff *skb, const struct nf_conn *tmpl,
			 bool ipv6, bool natted);
bool rust_helper_ct_expected(struct net *net, const struct sk_buff *skb, const struct nf_conn *tmpl,
			     bool ipv6, struct ovs_ct_conn *out);
bool rust_helper_ct_fits(struct net *net, const struct sk_buff *skb, const struct nf_conn *tmpl);
void rust_helper_ct_delete(struct sk_buff *skb);
int rust_helper_ct_track(struct net *net, struct sk_buff *skb, struct nf_conn *tmpl, bool ipv6);
int rust_helper_ct_defrag(struct net *net, struct sk_buff *skb, u16 zone, bool ipv6, u16 *mru);
int rust_helper_ct_nat(struct sk_buff *skb, const struct nf_nat_range2 *range, bool src, bool dst,
		       bool commit, u8 *done);
int rust_helper_ct_assign_helper(struct sk_buff *skb, struct nf_conn *tmpl, bool nat);
int rust_helper_ct_call_helper(struct sk_buff *skb, bool ipv6);
void rust_helper_ct_note_tracked(struct sk_buff *skb);
void rust_helper_ct_add_act_ct(struct sk_buff *skb);
void rust_helper_ct_set_event_mask(struct sk_buff *skb, u32 mask);
int rust_helper_ct_set_mark(struct sk_buff *skb, u32 value, u32 mask, u32 *new);
int rust_helper_ct_init_labels(struct sk_buff *skb, const u8 *value, const u8 *mask, u8 *labels);
int rust_helper_ct_replace_labels(struct sk_buff *skb, const u32 *value, const u32 *mask,
				  u8 *labels);
int rust_helper_ct_confirm(struct sk_buff *skb);
void rust_helper_ct_deliver_events(struct sk_buff *skb);
struct nf_conn *rust_helper_ct_tmpl_alloc(struct net *net, u16 id);
void rust_helper_ct_tmpl_complete(struct nf_conn *tmpl, bool commits);
void rust_helper_ct_tmpl_free(struct nf_conn *tmpl);
int rust_helper_ct_tmpl_set_timeout(struct net *net, struct nf_conn *tmpl, bool ipv6, u8 proto,
				    const char *name);
void rust_helper_ct_tmpl_destroy_timeout(struct nf_conn *tmpl);
struct nf_conntrack_helper *rust_helper_ct_tmpl_add_helper(struct nf_conn *tmpl, const char *name,
							   bool ipv6, u8 proto, bool nat);
void rust_helper_ct_helper_put(struct nf_conntrack_helper *helper, bool nat);
int rust_helper_ct_labels_get(struct net *net, unsigned int bits);
void rust_helper_ct_labels_put(struct net *net);
struct nf_conncount_data *rust_helper_conncount_init(struct net *net);
void rust_helper_conncount_destroy(struct net *net, struct nf_conncount_data *data);
u32 rust_helper_conncount_count(struct net *net, struct nf_conncount_data *data,
				const struct sk_buff *skb, bool ipv6, u16 id);

/* kunit.c; only where suites are */

struct ovs_kunit_view {
	u32 len, headlen;
	s32 network, transport;
	u32 mac_len, mark, priority, hash, csum;
	u32 users, gso_size;
	u16 protocol, vlan_tpid, vlan_tci;
	u8 ip_summed, sw_hash, l4_hash, ignore_df, cloned;
};

void rust_helper_kunit_fail(const char *file, int line, const char *condition);
struct sk_buff *rust_helper_kunit_paged(const u8 *bytes, unsigned int len, unsigned int linear);
struct sk_buff *rust_helper_kunit_listed(const u8 *bytes, unsigned int len, unsigned int linear,
					 unsigned int piece);
void rust_helper_kunit_make_gso(struct sk_buff *skb, u16 size, u32 type);
void rust_helper_kunit_make_tunnelled(struct sk_buff *skb, unsigned int inner, u16 size);
struct sk_buff *rust_helper_kunit_gro_list(const u8 *frame, unsigned int len, unsigned int n);
struct ovs_kunit_view rust_helper_kunit_view(const struct sk_buff *skb);
int rust_helper_kunit_copy_bits(const struct sk_buff *skb, unsigned int off, u8 *to,
				unsigned int len);
void rust_helper_kunit_make_complete(struct sk_buff *skb);
bool rust_helper_kunit_sum_holds(const struct sk_buff *skb);
void rust_helper_kunit_make_unreadable(struct sk_buff *skb);
void rust_helper_kunit_get(struct sk_buff *skb);
void rust_helper_kunit_watch(struct sk_buff *skb);
u32 rust_helper_kunit_freed(void);
u32 rust_helper_kunit_dst_refs(const struct sk_buff *skb);
u32 rust_helper_kunit_fail_nth(u32 n);
bool rust_helper_kunit_leaks_watched(void);
void *rust_helper_kunit_thread(int (*f)(void *arg), void *arg);
bool rust_helper_kunit_thread_ends(void);
int rust_helper_kunit_thread_stop(void *task);
void rust_helper_kunit_sleep(u32 msecs);
void *rust_helper_kunit_socket(void);
void rust_helper_kunit_socket_close(void *file);
int rust_helper_kunit_send(void *file, const u8 *bytes, unsigned int len);
int rust_helper_kunit_receive(void *file, u8 *bytes, unsigned int room);
void rust_helper_kunit_make_partial(struct sk_buff *skb, unsigned int start, unsigned int offset);
struct net *rust_helper_kunit_net(void);
u32 rust_helper_kunit_ct_refs(const struct sk_buff *skb);
u32 rust_helper_kunit_ct_tmpl_refs(const struct nf_conn *tmpl);
u32 rust_helper_kunit_ct_count(void);
void rust_helper_kunit_ct_flush(u16 zone);
bool rust_helper_kunit_cache_route(struct sk_buff *skb, const struct sk_buff *route);
struct net_device *rust_helper_kunit_dev(const char *name);
void rust_helper_kunit_dev_free(struct net_device *dev);
void rust_helper_kunit_dev_input(struct net_device *dev, struct sk_buff *skb);
struct sk_buff *rust_helper_kunit_dev_sent(struct net_device *dev);
int rust_helper_kunit_dev_refs(const struct net_device *dev);

/* net.c */
void *rust_helper_net_generic(const struct net *net, unsigned int id);
int rust_helper_peernet2id_alloc(struct net *net, struct net *peer);

#endif
