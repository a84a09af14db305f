// SPDX-License-Identifier: GPL-2.0
/* What the KUnit suites in kunit/ need of C: packets in all shapes, threads, a socket. Included by helpers.c. */
#include <linux/file.h>
#include <linux/kthread.h>
#include <linux/net.h>
#include <net/dst.h>
#include <net/sock.h>

/* ---- packets ---- */

/* A frame of these bytes, of which the first linear ones are in the head, the rest in pages; NULL without memory. */
struct sk_buff *rust_helper_kunit_paged(const u8 *bytes, unsigned int len, unsigned int linear)
{
	int err;
	struct sk_buff *skb = alloc_skb_with_frags(NET_SKB_PAD + linear, len - linear, 0, &err, GFP_KERNEL);

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

/* The same with the rest in packets of piece bytes, as what was defragmented or received by GRO has it. */
struct sk_buff *rust_helper_kunit_listed(const u8 *bytes, unsigned int len, unsigned int linear, unsigned int piece)
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

/* What C sees of a packet. */
struct ovs_kunit_view rust_helper_kunit_view(const struct sk_buff *skb)
{
	struct ovs_kunit_view v = {
		.len = skb->len,
		.headlen = skb_headlen(skb),
		.network = skb_network_offset(skb),
		.transport = skb_transport_offset(skb),
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
int rust_helper_kunit_copy_bits(const struct sk_buff *skb, unsigned int off, u8 *to, unsigned int len)
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

/* ---- memory that is not to be had ---- */

#ifdef CONFIG_FAULT_INJECTION
/* The n-th allocation of this thread from here on fails; 0: none does. Returns what was left of the number before, 0 if it has failed. */
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
	sock->ops->setsockopt(sock, SOL_NETLINK, NETLINK_EXT_ACK, KERNEL_SOCKPTR(&one), sizeof(one));
	sock->ops->setsockopt(sock, SOL_NETLINK, NETLINK_CAP_ACK, KERNEL_SOCKPTR(&one), sizeof(one));
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
