// SPDX-License-Identifier: GPL-2.0
/*
 * What the KUnit suites in kunit/ need of C: packets in all shapes, threads, a socket. Included by
 * helpers.c.
 */
#include <kunit/test-bug.h>
#include <kunit/test.h>
#include <linux/delay.h>
#include <linux/etherdevice.h>
#include <linux/file.h>
#include <linux/ip.h>
#include <linux/kthread.h>
#include <linux/net.h>
#include <linux/rtnetlink.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/dst.h>
#include <net/dst_cache.h>
#include <net/dst_metadata.h>
#include <net/netfilter/nf_conntrack.h>
#include <net/netfilter/nf_conntrack_core.h>
#include <net/netfilter/nf_conntrack_zones.h>
#include <net/sock.h>

/* ---- assertions of rust/kernel/kunit.rs ---- */

#ifndef OVS_KERNEL_CRATE
/*
 * As KUNIT_ASSERT_TRUE(), for a place in Rust. Returns only in a thread that runs no case.
 */
void rust_helper_kunit_fail(const char *file, int line, const char *condition)
{
	const struct kunit_loc loc = { .file = file, .line = line };
	const struct kunit_unary_assert assert = { .condition = condition, .expected_true = true };
	struct kunit *test = kunit_get_current_test();

	if (!test) {
		pr_err("ASSERTION FAILED at %s:%d: %s\n", file, line, condition);
		pr_err("Failure not reported to KUnit, as no case runs in this thread\n");
		return;
	}
	__kunit_do_failed_assertion(test, &loc, KUNIT_ASSERTION, &assert.assert,
				    kunit_unary_assert_format, NULL);
	__kunit_abort(test);
}
#endif

/* ---- packets ---- */

/*
 * A frame of these bytes, of which the first linear ones are in the head, the rest in pages; NULL
 * without memory.
 */
struct sk_buff *rust_helper_kunit_paged(const u8 *bytes, unsigned int len, unsigned int linear)
{
	int err;
	struct sk_buff *skb =
		alloc_skb_with_frags(NET_SKB_PAD + linear, len - linear, 0, &err, GFP_KERNEL);

	if (!skb)
		return NULL;
	skb_reserve(skb, NET_SKB_PAD);
	skb_put(skb, linear);
	skb->data_len = len - linear;
	skb->len += len - linear;
	skb_store_bits(skb, 0, bytes, len);
	skb_reset_mac_header(skb);
	skb->dev = init_net.loopback_dev; /* which never goes */
	return skb;
}

/*
 * The same with the rest in packets of piece bytes, as what was defragmented or received by GRO has
 * it.
 */
struct sk_buff *rust_helper_kunit_listed(const u8 *bytes, unsigned int len, unsigned int linear,
					 unsigned int piece)
{
	struct sk_buff *skb = rust_helper_kunit_paged(bytes, linear, linear);
	struct sk_buff **next;

	if (!skb)
		return NULL;
	next = &skb_shinfo(skb)->frag_list;
	while (skb->len < len) {
		unsigned int n = min(piece, len - skb->len);
		struct sk_buff *part = rust_helper_kunit_paged(bytes + skb->len, n, n);

		if (!part) {
			kfree_skb(skb);
			return NULL;
		}
		*next = part;
		next = &part->next;
		skb->len += n;
		skb->data_len += n;
		skb->truesize += part->truesize;
	}
	return skb;
}

/* Makes it an aggregate that is to be cut up. */
void rust_helper_kunit_make_gso(struct sk_buff *skb, u16 size, u32 type)
{
	skb_shinfo(skb)->gso_size = size;
	skb_shinfo(skb)->gso_type = type;
	skb_shinfo(skb)->gso_segs = DIV_ROUND_UP(skb->len, size);
}

/*
 * Makes it an aggregate of TCP over IPv4 inside of a UDP tunnel, whose inner frame begins inner
 * bytes after the outer one; its sum is left to the device.
 */
void rust_helper_kunit_make_tunnelled(struct sk_buff *skb, unsigned int inner, u16 size)
{
	skb->encapsulation = 1;
	skb_set_inner_mac_header(skb, inner);
	skb_set_inner_network_header(skb, inner + ETH_HLEN);
	skb_set_inner_transport_header(skb, inner + ETH_HLEN + sizeof(struct iphdr));
	skb_set_inner_protocol(skb, htons(ETH_P_TEB));
	rust_helper_kunit_make_partial(skb, inner + ETH_HLEN + sizeof(struct iphdr),
				       offsetof(struct tcphdr, check));
	rust_helper_kunit_make_gso(skb, size, SKB_GSO_TCPV4 | SKB_GSO_UDP_TUNNEL);
}

/*
 * n frames of UDP over IPv4, all of these bytes, as GRO makes a list of them: the headers of all
 * but the first are out of sight.
 */
struct sk_buff *rust_helper_kunit_gro_list(const u8 *frame, unsigned int len, unsigned int n)
{
	const unsigned int headers = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct udphdr);
	struct sk_buff *skb = rust_helper_kunit_paged(frame, len, len);
	struct sk_buff **next;

	if (!skb)
		return NULL;
	next = &skb_shinfo(skb)->frag_list;
	while (--n) {
		struct sk_buff *part = rust_helper_kunit_paged(frame, len, len);

		if (!part) {
			kfree_skb(skb);
			return NULL;
		}
		skb_set_network_header(part, ETH_HLEN);
		skb_set_transport_header(part, ETH_HLEN + sizeof(struct iphdr));
		__skb_pull(part, headers);
		*next = part;
		next = &part->next;
		skb->len += part->len;
		skb->data_len += part->len;
		skb->truesize += part->truesize;
	}
	skb->ip_summed = CHECKSUM_UNNECESSARY;
	rust_helper_kunit_make_gso(skb, len - headers, SKB_GSO_UDP_L4 | SKB_GSO_FRAGLIST);
	return skb;
}

/* What C sees of a packet. */
struct ovs_kunit_view rust_helper_kunit_view(const struct sk_buff *skb)
{
	struct ovs_kunit_view v = {
		.len = skb->len,
		.headlen = skb_headlen(skb),
		.network = skb_network_offset(skb),
		/* Whether it was set or not, of which DEBUG_NET would complain. */
		.transport = (int)skb->transport_header - (int)skb_headroom(skb),
		.mac_len = skb->mac_len,
		.protocol = ntohs(skb->protocol),
		.mark = skb->mark,
		.priority = skb->priority,
		.hash = skb->hash,
		.csum = (__force u32)skb->csum,
		.vlan_tpid = skb_vlan_tag_present(skb) ? ntohs(skb->vlan_proto) : 0,
		.vlan_tci = skb_vlan_tag_present(skb) ? skb_vlan_tag_get(skb) : 0,
		.users = refcount_read(&skb->users),
		.ip_summed = skb->ip_summed,
		.sw_hash = skb->sw_hash,
		.l4_hash = skb->l4_hash,
		.ignore_df = skb->ignore_df,
		.cloned = skb_cloned(skb),
		.gso_size = skb_shinfo(skb)->gso_size,
	};

	return v;
}

/* Copies len bytes at off out, wherever they lie. */
int rust_helper_kunit_copy_bits(const struct sk_buff *skb, unsigned int off, u8 *to,
				unsigned int len)
{
	return skb_copy_bits(skb, off, to, len);
}

/* The device's sum over all bytes, as CHECKSUM_COMPLETE has it. */
void rust_helper_kunit_make_complete(struct sk_buff *skb)
{
	skb->ip_summed = CHECKSUM_COMPLETE;
	skb->csum = skb_checksum(skb, 0, skb->len, 0);
}

/* Whether that sum is still the one over all bytes. */
bool rust_helper_kunit_sum_holds(const struct sk_buff *skb)
{
	return skb->ip_summed == CHECKSUM_COMPLETE &&
	       csum_fold(skb->csum) == csum_fold(skb_checksum(skb, 0, skb->len, 0));
}

/*
 * The device that sends it is to add the sum over all from start on into the field at start +
 * offset, which has the pseudo-header's.
 */
void rust_helper_kunit_make_partial(struct sk_buff *skb, unsigned int start, unsigned int offset)
{
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + start;
	skb->csum_offset = offset;
}

/* Its pages are a device's, which the CPU cannot read. */
void rust_helper_kunit_make_unreadable(struct sk_buff *skb)
{
	skb->unreadable = 1;
}

void rust_helper_kunit_get(struct sk_buff *skb)
{
	skb_get(skb);
}

/* References to what is attached as its route. */
u32 rust_helper_kunit_dst_refs(const struct sk_buff *skb)
{
	return skb_dst(skb) ? rcuref_read(&skb_dst(skb)->__rcuref) : 0;
}

static atomic_t ovs_kunit_freed;

static void ovs_kunit_count_free(struct sk_buff *skb)
{
	atomic_inc(&ovs_kunit_freed);
}

/* When it is freed, one more has been. */
void rust_helper_kunit_watch(struct sk_buff *skb)
{
	skb->destructor = ovs_kunit_count_free;
}

/* How many of them have been. */
u32 rust_helper_kunit_freed(void)
{
	return atomic_read(&ovs_kunit_freed);
}

/*
 * Has the tunnel that is attached to skb remember how to get to its other end: by what is attached
 * to route, which is counted as a route is.
 */
bool rust_helper_kunit_cache_route(struct sk_buff *skb, const struct sk_buff *route)
{
	struct ip_tunnel_info *info = skb_tunnel_info(skb);

	if (!info || !info->dst_cache.cache || !skb_dst(route))
		return false;
	local_bh_disable();
	dst_cache_set_ip4(&info->dst_cache, skb_dst(route), 0);
	local_bh_enable();
	return true;
}

/* ---- namespaces and connections ---- */

struct net *rust_helper_kunit_net(void)
{
	return &init_net;
}

/* References to the packet's connection. */
u32 rust_helper_kunit_ct_refs(const struct sk_buff *skb)
{
	return skb_nfct(skb) ? refcount_read(&skb_nfct(skb)->use) : 0;
}

u32 rust_helper_kunit_ct_tmpl_refs(const struct nf_conn *tmpl)
{
	return refcount_read(&tmpl->ct_general.use);
}

/* Connections that there are, whether in the table or not. */
u32 rust_helper_kunit_ct_count(void)
{
	return nf_conntrack_count(&init_net);
}

static int ovs_kunit_in_zone(struct nf_conn *ct, void *zone)
{
	return nf_ct_zone(ct)->id == *(u16 *)zone;
}

/* Forgets all connections of a zone. Sleeps. */
void rust_helper_kunit_ct_flush(u16 zone)
{
	struct nf_ct_iter_data data = { .net = &init_net, .data = &zone };

	nf_ct_iterate_cleanup_net(ovs_kunit_in_zone, &data);
}

/* ---- a device, whose other end are the suites ---- */

/* What the stack says of its own accord is not kept. */
static netdev_tx_t ovs_kunit_xmit(struct sk_buff *skb, struct net_device *dev)
{
	if (skb->len >= ETH_HLEN && skb_headlen(skb) >= ETH_HLEN &&
	    ether_addr_equal(skb_eth_hdr(skb)->h_source, dev->dev_addr))
		consume_skb(skb);
	else
		skb_queue_tail(netdev_priv(dev), skb);
	return NETDEV_TX_OK;
}

static const struct net_device_ops ovs_kunit_dev_ops = {
	.ndo_start_xmit = ovs_kunit_xmit,
};

/* Takes packets as they are, but for tags and aggregates. */
static void ovs_kunit_dev_setup(struct net_device *dev)
{
	static const u8 address[ETH_ALEN] = { 2, 0, 0, 0, 0, 0xaa };

	ether_setup(dev);
	eth_hw_addr_set(dev, address);
	dev->netdev_ops = &ovs_kunit_dev_ops;
	dev->flags |= IFF_NOARP;
	dev->flags &= ~IFF_MULTICAST;
	dev->priv_flags |= IFF_NO_QUEUE | IFF_NO_ADDRCONF;
	dev->features = NETIF_F_SG | NETIF_F_FRAGLIST | NETIF_F_HIGHDMA | NETIF_F_HW_CSUM;
	dev->hw_features = dev->features;
	skb_queue_head_init(netdev_priv(dev));
}

/* Registered, and up; NULL on failure. */
struct net_device *rust_helper_kunit_dev(const char *name)
{
	struct net_device *dev =
		alloc_netdev(sizeof(struct sk_buff_head), name, NET_NAME_USER, ovs_kunit_dev_setup);
	int err;

	if (!dev)
		return NULL;
	err = register_netdev(dev);
	if (err) {
		free_netdev(dev);
		return NULL;
	}
	rtnl_lock();
	err = dev_open(dev, NULL);
	rtnl_unlock();
	if (!err)
		return dev;
	rust_helper_kunit_dev_free(dev);
	return NULL;
}

/* Waits for all who refer to it. */
void rust_helper_kunit_dev_free(struct net_device *dev)
{
	unregister_netdev(dev);
	skb_queue_purge(netdev_priv(dev));
	free_netdev(dev);
}

/* A frame comes in. Its first bytes are linear, and are not in its sum. */
void rust_helper_kunit_dev_input(struct net_device *dev, struct sk_buff *skb)
{
	if (!pskb_may_pull(skb, ETH_HLEN)) {
		kfree_skb(skb);
		return;
	}
	skb->protocol = eth_type_trans(skb, dev);
	skb_postpull_rcsum(skb, eth_hdr(skb), ETH_HLEN);
	local_bh_disable();
	netif_receive_skb(skb);
	local_bh_enable();
}

/* The next frame that has gone out, NULL if there is none. */
struct sk_buff *rust_helper_kunit_dev_sent(struct net_device *dev)
{
	return skb_dequeue(netdev_priv(dev));
}

int rust_helper_kunit_dev_refs(const struct net_device *dev)
{
	return netdev_refcnt_read(dev);
}

/* ---- memory that is not to be had ---- */

#ifdef CONFIG_FAULT_INJECTION
/*
 * The n-th allocation of this thread from here on fails; 0: none does. Returns what was left of the
 * number before, 0 if it has failed.
 */
u32 rust_helper_kunit_fail_nth(u32 n)
{
	u32 left = current->fail_nth;

	current->fail_nth = n;
	return left;
}
#else
u32 rust_helper_kunit_fail_nth(u32 n)
{
	return 1; /* never reached */
}
#endif

/* Whether the allocation that fails on demand may be kmemleak's, for another that goes well. */
bool rust_helper_kunit_leaks_watched(void)
{
	return IS_ENABLED(CONFIG_DEBUG_KMEMLEAK);
}

/* ---- threads ---- */

/* Runs f(arg) in a thread; NULL without memory. */
void *rust_helper_kunit_thread(int (*f)(void *arg), void *arg)
{
	struct task_struct *task = kthread_run(f, arg, "ovs-kunit");

	return IS_ERR(task) ? NULL : task;
}

/* In the thread: whether it shall end. Lets others run. */
bool rust_helper_kunit_thread_ends(void)
{
	cond_resched();
	return kthread_should_stop();
}

void rust_helper_kunit_sleep(u32 msecs)
{
	msleep(msecs);
}

/* Has the thread end, and waits for it; what it returned. */
int rust_helper_kunit_thread_stop(void *task)
{
	return kthread_stop(task);
}

/* ---- a socket of generic netlink, as userspace has it ---- */

/* With a file, to whose opener's rights requests are held. NULL on failure. */
void *rust_helper_kunit_socket(void)
{
	int one = 1;
	struct socket *sock;
	struct file *file;

	if (sock_create_kern(&init_net, PF_NETLINK, SOCK_RAW, NETLINK_GENERIC, &sock))
		return NULL;
	sock->ops->setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, KERNEL_SOCKPTR(&one),
			      sizeof(one));
	sock->ops->setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK, KERNEL_SOCKPTR(&one),
			      sizeof(one));
	file = sock_alloc_file(sock, O_RDWR, NULL);
	return IS_ERR(file) ? NULL : file;
}

void rust_helper_kunit_socket_close(void *file)
{
	fput(file);
}

int rust_helper_kunit_send(void *file, const u8 *bytes, unsigned int len)
{
	struct kvec vec = { .iov_base = (void *)bytes, .iov_len = len };
	struct msghdr msg = {};

	return kernel_sendmsg(sock_from_file(file), &msg, &vec, 1, len);
}

/* The next datagram, at most room bytes of it; -EAGAIN if there is none. */
int rust_helper_kunit_receive(void *file, u8 *bytes, unsigned int room)
{
	struct kvec vec = { .iov_base = bytes, .iov_len = room };
	struct msghdr msg = {};

	return kernel_recvmsg(sock_from_file(file), &msg, &vec, 1, room, MSG_DONTWAIT);
}
