// SPDX-License-Identifier: GPL-2.0
/*
 * Connection tracking: what net/netfilter offers as macros and inline functions, and what only
 * kernels with CONFIG_NF_CONNTRACK_OVS export (spec C19).
 *
 * Functions with a packet and no connection among their arguments are about the packet's
 * connection, and do nothing, or fail, without one. All but those of templates, label spaces and
 * counters are called in an RCU section with BH disabled, for a packet whose data start at its L3
 * header.
 */
#include <linux/icmpv6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/netfilter.h>
#include <linux/skbuff.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include "helpers.h"

void rust_helper_ct_untrack(struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK)
	/* With CONFIG_DEBUG_NET, another one may be attached only where there is none. */
	ovs_nf_reset_ct(skb);
	nf_ct_set(skb, NULL, IP_CT_UNTRACKED);
#endif
}

int rust_helper_pskb_trim_rcsum(struct sk_buff *skb, unsigned int len)
{
	return pskb_trim_rcsum(skb, len);
}

#if IS_ENABLED(CONFIG_NF_CONNTRACK)

#define OVS_NFPROTO(ipv6) ((ipv6) ? NFPROTO_IPV6 : NFPROTO_IPV4)

static int ovs_ct_verdict(unsigned int verdict)
{
	switch (verdict & NF_VERDICT_MASK) {
	case NF_ACCEPT:
		return OVS_CT_ACCEPT;
	case NF_STOLEN:
		return OVS_CT_STOLEN;
	default:
		return OVS_CT_DROP;
	}
}

static struct nf_conn *ovs_ct_of(const struct sk_buff *skb)
{
	enum ip_conntrack_info ctinfo;

	return nf_ct_get(skb, &ctinfo);
}

/* ---- what there is to know ---- */

static void ovs_ct_describe_orig(const struct nf_conn *ct, struct ovs_ct_conn *out)
{
	const struct nf_conntrack_tuple *orig;
	bool icmp;

	if (ct->master)
		ct = ct->master;
	orig = &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple;
	out->proto = orig->dst.protonum;
	if (orig->src.l3num == NFPROTO_IPV6) {
		out->flags |= OVS_CT_IPV6;
		memcpy(out->src, &orig->src.u3.in6, 16);
		memcpy(out->dst, &orig->dst.u3.in6, 16);
		icmp = out->proto == IPPROTO_ICMPV6;
	} else {
		memcpy(out->src, &orig->src.u3.ip, 4);
		memcpy(out->dst, &orig->dst.u3.ip, 4);
		icmp = out->proto == IPPROTO_ICMP;
	}
	out->tp_src = icmp ? orig->dst.u.icmp.type : ntohs(orig->src.u.all);
	out->tp_dst = icmp ? orig->dst.u.icmp.code : ntohs(orig->dst.u.all);
}

/* Every byte of out is written. */
static void ovs_ct_describe(const struct nf_conn *ct, enum ip_conntrack_info ctinfo,
			    struct ovs_ct_conn *out)
{
	const struct nf_conn *labelled = ct;
	const struct nf_conn_labels *labels;

	memset(out, 0, sizeof(*out));
	out->ctinfo = ctinfo;
	out->zone = nf_ct_zone(ct)->id;
#if IS_ENABLED(CONFIG_NF_CONNTRACK_MARK)
	out->mark = READ_ONCE(ct->mark);
#endif
	if (nf_ct_is_confirmed(ct))
		out->flags |= OVS_CT_CONFIRMED;
	else if (ovs_ct_shared(ct))
		out->flags |= OVS_CT_SHARED;
	if (ct->master)
		out->flags |= OVS_CT_MASTER;
	if (ct->status & IPS_SRC_NAT)
		out->flags |= OVS_CT_SRC_NAT;
	if (ct->status & IPS_DST_NAT)
		out->flags |= OVS_CT_DST_NAT;
	if (ct->master && !nf_ct_is_confirmed(ct))
		labelled = ct->master;
	labels = nf_ct_labels_find(labelled);
	if (labels)
		memcpy(out->labels, labels->bits, sizeof(out->labels));
	ovs_ct_describe_orig(ct, out);
}

bool rust_helper_ct_describe(const struct sk_buff *skb, struct ovs_ct_conn *out)
{
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	if (ct)
		ovs_ct_describe(ct, ctinfo, out);
	return ct;
}

/* ---- finding connections ---- */

/* As nf_conntrack finds it for a packet in this direction, which it keeps to itself. */
static enum ip_conntrack_info ovs_ct_info(const struct nf_conn *ct, bool reply)
{
	if (reply)
		return IP_CT_ESTABLISHED_REPLY;
	if (test_bit(IPS_SEEN_REPLY_BIT, &ct->status))
		return IP_CT_ESTABLISHED;
	if (test_bit(IPS_EXPECTED_BIT, &ct->status))
		return IP_CT_RELATED;
	return IP_CT_NEW;
}

/*
 * Attaches the connection in the template's zone that has the packet's tuple, or with natted its
 * inverse.
 */
bool rust_helper_ct_find(struct net *net, struct sk_buff *skb, const struct nf_conn *tmpl,
			 bool ipv6, bool natted)
{
	struct nf_conntrack_tuple tuple, inverse;
	struct nf_conntrack_tuple_hash *h;
	struct nf_conn *ct;
	bool reply;

	if (!nf_ct_get_tuplepr(skb, skb_network_offset(skb), OVS_NFPROTO(ipv6), net, &tuple))
		return false;
	if (natted) {
		if (!ovs_ct_invert_tuple(&inverse, &tuple))
			return false;
		tuple = inverse;
	}
	h = nf_conntrack_find_get(net, nf_ct_zone(tmpl), &tuple);
	if (!h)
		return false;
	ct = nf_ct_tuplehash_to_ctrack(h);
	/* The inverse of the packet's tuple is that of the other direction. */
	reply = (NF_CT_DIRECTION(h) == IP_CT_DIR_REPLY) != natted;
	nf_ct_set(skb, ct, ovs_ct_info(ct, reply));
	return true;
}

#ifdef HAVE_CT_EXPECT_UNLINK
/* A template that is not "confirmed" leaves expectations alone, and its connections are found. */
static bool ovs_ct_yields(struct nf_conn *ct)
{
	return false;
}
#else
/*
 * Helpers do not look for a connection with the tuple that they expect. It would be found first,
 * and the expectation never used up.
 */
static bool ovs_ct_yields(struct nf_conn *ct)
{
	nf_ct_delete(ct, 0, 0);
	return true;
}
#endif

/* The connection that expects the packet, which has none. */
bool rust_helper_ct_expected(struct net *net, const struct sk_buff *skb, const struct nf_conn *tmpl,
			     bool ipv6, struct ovs_ct_conn *out)
{
	const struct nf_conntrack_zone *zone = nf_ct_zone(tmpl);
	struct nf_conntrack_tuple_hash *h;
	struct nf_conntrack_expect *exp;
	struct nf_conntrack_tuple tuple;
	struct nf_conn *master;
	bool yields = true;

	if (!nf_ct_get_tuplepr(skb, skb_network_offset(skb), OVS_NFPROTO(ipv6), net, &tuple))
		return false;
	exp = __nf_ct_expect_find(net, zone, &tuple);
	/* It does not keep its master, which may be the very connection that goes. */
	master = exp ? exp->master : NULL;
	if (!master || !ovs_ct_try_get(master))
		return false;
	h = nf_conntrack_find_get(net, zone, &tuple);
	if (h) {
		struct nf_conn *ct = nf_ct_tuplehash_to_ctrack(h);

		yields = ovs_ct_yields(ct);
		nf_ct_put(ct);
	}
	if (yields)
		ovs_ct_describe(master, IP_CT_NEW, out);
	nf_ct_put(master);
	return yields;
}

static bool ovs_ct_helper_fits(const struct nf_conn *ct, const struct nf_conn *tmpl)
{
	const struct nf_conn_help *wanted = nfct_help(tmpl), *help = nfct_help(ct);

	return !wanted || !help ||
	       rcu_access_pointer(help->helper) == rcu_access_pointer(wanted->helper);
}

#ifdef CONFIG_NF_CONNTRACK_TIMEOUT
static bool ovs_ct_timeout_fits(const struct nf_conn *ct, const struct nf_conn *tmpl)
{
	const struct nf_conn_timeout *wanted = nf_ct_timeout_find(tmpl);
	const struct nf_conn_timeout *timeout = nf_ct_timeout_find(ct);

	if (!wanted || !rcu_access_pointer(wanted->timeout))
		return true;
	return timeout &&
	       rcu_access_pointer(timeout->timeout) == rcu_access_pointer(wanted->timeout);
}
#else
static bool ovs_ct_timeout_fits(const struct nf_conn *ct, const struct nf_conn *tmpl)
{
	return true;
}
#endif

bool rust_helper_ct_fits(struct net *net, const struct sk_buff *skb, const struct nf_conn *tmpl)
{
	const struct nf_conn *ct = ovs_ct_of(skb);

	return ct && net_eq(net, nf_ct_net(ct)) && nf_ct_zone_equal_any(tmpl, nf_ct_zone(ct)) &&
	       ovs_ct_helper_fits(ct, tmpl) && ovs_ct_timeout_fits(ct, tmpl);
}

void rust_helper_ct_delete(struct sk_buff *skb)
{
	struct nf_conn *ct = ovs_ct_of(skb);

	if (ct)
		nf_ct_delete(ct, 0, 0);
}

/* ---- tracking ---- */

int rust_helper_ct_track(struct net *net, struct sk_buff *skb, struct nf_conn *tmpl, bool ipv6)
{
	ovs_nf_reset_ct(skb);
	nf_conntrack_get(&tmpl->ct_general);
	nf_ct_set(skb, tmpl, IP_CT_NEW);
	return ovs_ct_verdict(ovs_conntrack_in(net, OVS_NFPROTO(ipv6), NF_INET_PRE_ROUTING, skb));
}

#ifdef OVS_NF_CT_OVS
int rust_helper_ct_defrag(struct net *net, struct sk_buff *skb, u16 zone, bool ipv6, u16 *mru)
{
	u8 proto;

	return nf_ct_handle_fragments(net, skb, zone, OVS_NFPROTO(ipv6), &proto, mru);
}
#else
static int ovs_ct_defrag_v4(struct net *net, struct sk_buff *skb, u16 zone, u16 *mru)
{
	int err;

	memset(IPCB(skb), 0, sizeof(*IPCB(skb)));
	err = ip_defrag(net, skb, IP_DEFRAG_CONNTRACK_IN + zone);
	if (!err)
		*mru = IPCB(skb)->frag_max_size;
	return err;
}

#if IS_ENABLED(CONFIG_NF_DEFRAG_IPV6)
static int ovs_ct_defrag_v6(struct net *net, struct sk_buff *skb, u16 zone, u16 *mru)
{
	int err;

	memset(IP6CB(skb), 0, sizeof(*IP6CB(skb)));
	err = nf_ct_frag6_gather(net, skb, IP6_DEFRAG_CONNTRACK_IN + zone);
	if (!err)
		*mru = IP6CB(skb)->frag_max_size;
	else if (err != -EINPROGRESS)
		kfree_skb(skb);
	return err;
}
#else
static int ovs_ct_defrag_v6(struct net *net, struct sk_buff *skb, u16 zone, u16 *mru)
{
	kfree_skb(skb);
	return -EPFNOSUPPORT;
}
#endif

/*
 * 0: skb is the whole packet. -EINPROGRESS: it waits for others. Otherwise it is freed. Ruins
 * skb->cb.
 */
int rust_helper_ct_defrag(struct net *net, struct sk_buff *skb, u16 zone, bool ipv6, u16 *mru)
{
	int err = ipv6 ? ovs_ct_defrag_v6(net, skb, zone, mru) :
			 ovs_ct_defrag_v4(net, skb, zone, mru);

	if (!err) {
		skb_clear_hash(skb);
		skb->ignore_df = 1;
	}
	return err;
}
#endif

/* ---- NAT ---- */

#if IS_ENABLED(CONFIG_NF_NAT)
#ifdef OVS_NF_NAT_OVS
#define ovs_nat nf_ct_nat
#else
/* An ICMP error about a connection: what it quotes is rewritten, too. <0: it is none. */
static int ovs_nat_icmp_error(struct sk_buff *skb, struct nf_conn *ct,
			      enum ip_conntrack_info ctinfo, unsigned int hook)
{
	if (ip_hdr(skb)->version == 4) {
		if (ip_hdr(skb)->protocol != IPPROTO_ICMP)
			return -ENOENT;
		return ovs_nat_icmp_reply(skb, ct, ctinfo, hook) ? NF_ACCEPT : NF_DROP;
	}
#if IS_ENABLED(CONFIG_IPV6)
	{
		u8 nexthdr = ipv6_hdr(skb)->nexthdr;
		__be16 frag_off;
		int len = ipv6_skip_exthdr(skb, sizeof(struct ipv6hdr), &nexthdr, &frag_off);

		if (len >= 0 && nexthdr == IPPROTO_ICMPV6)
			return ovs_nat_icmpv6_reply(skb, ct, ctinfo, hook, len) ?
			       NF_ACCEPT : NF_DROP;
	}
#endif
	return -ENOENT;
}

/* One end of the packet. range says what a connection gets that has no mapping for this end yet. */
static int ovs_nat_one(struct sk_buff *skb, struct nf_conn *ct, enum ip_conntrack_info ctinfo,
		       const struct nf_nat_range2 *range, enum nf_nat_manip_type manip)
{
	/* The hooks at which the stack would do it. */
	unsigned int hook = manip == NF_NAT_MANIP_SRC ? NF_INET_LOCAL_IN : NF_INET_LOCAL_OUT;
	int err;

	switch (ctinfo) {
	case IP_CT_RELATED:
	case IP_CT_RELATED_REPLY:
		err = ovs_nat_icmp_error(skb, ct, ctinfo, hook);
		if (err >= 0)
			return err;
		fallthrough;
	case IP_CT_NEW:
		if (nf_nat_initialized(ct, manip))
			break;
		if (range && range->flags & NF_NAT_RANGE_MAP_IPS)
			err = nf_nat_setup_info(ct, range, manip);
		else
			err = nf_nat_alloc_null_binding(ct, hook);
		if (err != NF_ACCEPT)
			return err;
		break;
	case IP_CT_ESTABLISHED:
	case IP_CT_ESTABLISHED_REPLY:
		break;
	default:
		return NF_DROP;
	}
	return nf_nat_packet(ct, ctinfo, hook, skb);
}

/* Which end a packet of a mapped connection is rewritten at first. */
static enum nf_nat_manip_type ovs_nat_manip(const struct nf_conn *ct, enum ip_conntrack_info ctinfo)
{
	bool src = ct->status & IPS_SRC_NAT, reply = CTINFO2DIR(ctinfo) == IP_CT_DIR_REPLY;

	return src != reply ? NF_NAT_MANIP_SRC : NF_NAT_MANIP_DST;
}

/* action: which ends to map, then which were rewritten, bits of enum nf_nat_manip_type. */
static int ovs_nat(struct sk_buff *skb, struct nf_conn *ct, enum ip_conntrack_info ctinfo,
		   int *action, const struct nf_nat_range2 *range, bool commit)
{
	enum nf_nat_manip_type manip;
	int wanted = *action, err;

	*action = 0;
	if (!ovs_nat_has_family(nf_ct_l3num(ct)))
		return NF_DROP;
	if (!nf_ct_is_confirmed(ct) && !nf_ct_nat_ext_add(ct))
		return NF_DROP;
	/* A connection that another has led to gets its mapping when it is committed. */
	if (ctinfo != IP_CT_NEW && ct->status & IPS_NAT_MASK && (ctinfo != IP_CT_RELATED || commit))
		manip = ovs_nat_manip(ct, ctinfo);
	else if (wanted & BIT(NF_NAT_MANIP_SRC))
		manip = NF_NAT_MANIP_SRC;
	else if (wanted & BIT(NF_NAT_MANIP_DST))
		manip = NF_NAT_MANIP_DST;
	else
		return NF_ACCEPT;

	err = ovs_nat_one(skb, ct, ctinfo, range, manip);
	if (err != NF_ACCEPT)
		return err;
	*action |= BIT(manip);
	if (!(ct->status & IPS_DST_NAT))
		return NF_ACCEPT;
	/* The other end: mapped as well, or (hairpin) to be kept clear of other connections. */
	if (ct->status & IPS_SRC_NAT)
		manip = manip == NF_NAT_MANIP_SRC ? NF_NAT_MANIP_DST : NF_NAT_MANIP_SRC;
	else if (CTINFO2DIR(ctinfo) == IP_CT_DIR_ORIGINAL)
		manip = NF_NAT_MANIP_SRC, range = NULL;
	else
		return NF_ACCEPT;
	err = ovs_nat_one(skb, ct, ctinfo, range, manip);
	if (err == NF_ACCEPT)
		*action |= BIT(manip);
	return err;
}
#endif

/*
 * src, dst: which end to map; done: OVS_CT_SRC_NAT and OVS_CT_DST_NAT for the ends that were
 * rewritten.
 */
int rust_helper_ct_nat(struct sk_buff *skb, const struct nf_nat_range2 *range, bool src, bool dst,
		       bool commit, u8 *done)
{
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);
	int action = 0, err;

	*done = 0;
	if (!ct)
		return OVS_CT_DROP;
	if (src)
		action |= BIT(NF_NAT_MANIP_SRC);
	if (dst)
		action |= BIT(NF_NAT_MANIP_DST);
	err = ovs_nat(skb, ct, ctinfo, &action, range, commit);
	if (action & BIT(NF_NAT_MANIP_SRC))
		*done |= OVS_CT_SRC_NAT;
	if (action & BIT(NF_NAT_MANIP_DST))
		*done |= OVS_CT_DST_NAT;
	return ovs_ct_verdict(err);
}
#else
int rust_helper_ct_nat(struct sk_buff *skb, const struct nf_nat_range2 *range, bool src, bool dst,
		       bool commit, u8 *done)
{
	*done = 0;
	return OVS_CT_ACCEPT;
}
#endif

/* ---- helpers ---- */

int rust_helper_ct_assign_helper(struct sk_buff *skb, struct nf_conn *tmpl, bool nat)
{
	struct nf_conn *ct = ovs_ct_of(skb);
	int err;

	if (!ct || nfct_help(ct))
		return 0;
	err = __nf_ct_try_assign_helper(ct, tmpl, GFP_ATOMIC);
	if (err)
		return err;
	return nat && !nfct_seqadj(ct) && !nfct_seqadj_ext_add(ct) ? -EINVAL : 0;
}

#ifndef OVS_NF_CT_OVS
/* Offset and number of the L4 protocol; <0 if the packet has none that a helper could look at. */
static int ovs_ct_l4(const struct sk_buff *skb, bool ipv6, u8 *proto)
{
	__be16 frag_off;
	int off;

	if (!ipv6) {
		*proto = ip_hdr(skb)->protocol;
		return ip_hdrlen(skb);
	}
	*proto = ipv6_hdr(skb)->nexthdr;
	off = ipv6_skip_exthdr(skb, sizeof(struct ipv6hdr), proto, &frag_off);
	return frag_off & htons(~0x7) ? -ENOENT : off;
}

static int nf_ct_helper(struct sk_buff *skb, struct nf_conn *ct, enum ip_conntrack_info ctinfo,
			u16 nfproto)
{
	const struct nf_conn_help *help = nfct_help(ct);
	const struct nf_conntrack_helper *helper;
	int off, err;
	u8 proto;

	if (ctinfo == IP_CT_RELATED_REPLY || !help)
		return NF_ACCEPT;
	helper = rcu_dereference(help->helper);
	if (!helper)
		return NF_ACCEPT;
	if (ovs_helper_l3num(helper) != NFPROTO_UNSPEC && ovs_helper_l3num(helper) != nfproto)
		return NF_ACCEPT;
	off = ovs_ct_l4(skb, nfproto == NFPROTO_IPV6, &proto);
	if (off < 0 || ovs_helper_protonum(helper) != proto)
		return NF_ACCEPT;
	err = helper->help(skb, off, ct, ctinfo);
	if (err != NF_ACCEPT)
		return err;
	/* It may have changed the payload's length. */
	if (test_bit(IPS_SEQ_ADJUST_BIT, &ct->status) && !nf_ct_seq_adjust(skb, ct, ctinfo, off))
		return NF_DROP;
	return NF_ACCEPT;
}

static int nf_ct_add_helper(struct nf_conn *tmpl, const char *name, u8 nfproto, u8 proto, bool nat,
			    struct nf_conntrack_helper **hp)
{
	struct nf_conntrack_helper *helper =
		nf_conntrack_helper_try_module_get(name, nfproto, proto);
	struct nf_conn_help *help;
	int err = -ENOMEM;

	if (!helper)
		return -EINVAL;
	help = nf_ct_helper_ext_add(tmpl, GFP_KERNEL);
	if (!help)
		goto put;
#if IS_ENABLED(CONFIG_NF_NAT)
	if (nat) {
		err = ovs_nat_helper_get(name, nfproto, proto);
		if (err)
			goto put;
	}
#endif
	rcu_assign_pointer(help->helper, helper);
	*hp = helper;
	return 0;

put:
	nf_conntrack_helper_put(helper);
	return err;
}
#endif

int rust_helper_ct_call_helper(struct sk_buff *skb, bool ipv6)
{
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	return ct ? ovs_ct_verdict(nf_ct_helper(skb, ct, ctinfo, OVS_NFPROTO(ipv6))) :
		    OVS_CT_ACCEPT;
}

/* ---- after tracking ---- */

/*
 * Established TCP: packets outside of the window are not invalid, since the switch need not see all
 * of them (spec C11).
 */
static void ovs_ct_be_liberal(struct nf_conn *ct)
{
	if (nf_ct_protonum(ct) != IPPROTO_TCP || !nf_ct_is_confirmed(ct) ||
	    ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED ||
	    !test_bit(IPS_ASSURED_BIT, &ct->status))
		return;
	ct->proto.tcp.seen[IP_CT_DIR_ORIGINAL].flags |= IP_CT_TCP_FLAG_BE_LIBERAL;
	ct->proto.tcp.seen[IP_CT_DIR_REPLY].flags |= IP_CT_TCP_FLAG_BE_LIBERAL;
}

void rust_helper_ct_note_tracked(struct sk_buff *skb)
{
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	if (!ct)
		return;
	ovs_ct_be_liberal(ct);
#ifdef HAVE_CT_ACT_EXT
	if (skb->dev)
		nf_conn_act_ct_ext_fill(skb, ct, ctinfo);
#endif
}

void rust_helper_ct_add_act_ct(struct sk_buff *skb)
{
#ifdef HAVE_CT_ACT_EXT
	enum ip_conntrack_info ctinfo;
	struct nf_conn *ct = nf_ct_get(skb, &ctinfo);

	if (ct && skb->dev)
		nf_conn_act_ct_ext_add(skb, ct, ctinfo);
#endif
}

/* ---- commit ---- */

void rust_helper_ct_set_event_mask(struct sk_buff *skb, u32 mask)
{
	struct nf_conn *ct = ovs_ct_of(skb);
	struct nf_conntrack_ecache *cache = ct ? nf_ct_ecache_find(ct) : NULL;

	if (cache)
		cache->ctmask = mask;
}

/* 1: the mark is *new now. 0: it was that already. */
int rust_helper_ct_set_mark(struct sk_buff *skb, u32 value, u32 mask, u32 *new)
{
#if IS_ENABLED(CONFIG_NF_CONNTRACK_MARK)
	struct nf_conn *ct = ovs_ct_of(skb);

	if (!ct)
		return 0;
	*new = value | (READ_ONCE(ct->mark) & ~mask);
	if (READ_ONCE(ct->mark) == *new)
		return 0;
	WRITE_ONCE(ct->mark, *new);
	if (nf_ct_is_confirmed(ct))
		nf_conntrack_event_cache(IPCT_MARK, ct);
	return 1;
#else
	return -ENOTSUPP;
#endif
}

/*
 * Of a connection that is not confirmed: its master's labels, then value and mask, each NULL or 16
 * bytes. 1: all of them are in labels. 0: there was nothing to do.
 */
int rust_helper_ct_init_labels(struct sk_buff *skb, const u8 *value, const u8 *mask, u8 *labels)
{
	struct nf_conn_labels *own, *masters = NULL;
	struct nf_conn *ct = ovs_ct_of(skb);
	u8 *bits;
	int i;

	if (!ct || nf_ct_is_confirmed(ct))
		return 0;
	if (ct->master)
		masters = nf_ct_labels_find(ct->master);
	if (!masters && !mask)
		return 0;
	own = nf_ct_labels_find(ct);
	if (!own)
		own = nf_ct_labels_ext_add(ct);
	if (!own)
		return -ENOSPC;
	if (masters)
		*own = *masters;
	bits = (u8 *)own->bits;
	for (i = 0; mask && i < 16; i++)
		bits[i] = (bits[i] & ~mask[i]) | (value[i] & mask[i]);
	/* So that the event of the new connection has them. */
	nf_conntrack_event_cache(IPCT_LABEL, ct);
	memcpy(labels, bits, 16);
	return 1;
}

/* Of a connection that is confirmed: extensions must not be added any more (spec B32). */
int rust_helper_ct_replace_labels(struct sk_buff *skb, const u32 *value, const u32 *mask,
				  u8 *labels)
{
#ifdef CONFIG_NF_CONNTRACK_LABELS
	struct nf_conn *ct = ovs_ct_of(skb);
	struct nf_conn_labels *own = ct ? nf_ct_labels_find(ct) : NULL;
	int err;

	if (!own)
		return -ENOSPC;
	err = nf_connlabels_replace(ct, value, mask, 4);
	if (!err)
		memcpy(labels, own->bits, 16);
	return err;
#else
	return -ENOSPC;
#endif
}

#ifdef HAVE_CT_EXPECT_UNLINK
/*
 * Tracked without commit, the connection left its expectation in place. Now that it is entered
 * nobody else may come by it (spec C4).
 */
static void ovs_ct_use_expectation(const struct nf_conn *ct)
{
	struct nf_conntrack_expect *exp;

	if (!ct->master)
		return;
	exp = nf_ct_expect_find_get(nf_ct_net(ct), nf_ct_zone(ct),
				    &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple);
	if (!exp)
		return;
	if (exp->master == ct->master && !(exp->flags & NF_CT_EXPECT_PERMANENT))
		nf_ct_unexpect_related(exp);
	nf_ct_expect_put(exp);
}
#else
static void ovs_ct_use_expectation(const struct nf_conn *ct)
{
}
#endif

int rust_helper_ct_confirm(struct sk_buff *skb)
{
	const struct nf_conn *ct = ovs_ct_of(skb);
	bool is_new = ct && !nf_ct_is_confirmed(ct);
	int verdict = ovs_ct_verdict(nf_conntrack_confirm(skb));

	/* Another packet's connection may be in its place now, of the same master. */
	ct = ovs_ct_of(skb);
	if (is_new && ct && verdict == OVS_CT_ACCEPT)
		ovs_ct_use_expectation(ct);
	return verdict;
}

void rust_helper_ct_deliver_events(struct sk_buff *skb)
{
	struct nf_conn *ct = ovs_ct_of(skb);

	if (ct)
		nf_ct_deliver_cached_events(ct);
}

/* ---- templates ---- */

struct nf_conn *rust_helper_ct_tmpl_alloc(struct net *net, u16 id)
{
	struct nf_conntrack_zone zone;

	nf_ct_zone_init(&zone, id, NF_CT_DEFAULT_ZONE_DIR, 0);
	return nf_ct_tmpl_alloc(net, &zone, GFP_KERNEL);
}

/*
 * Nothing is added to it after this. If it is "confirmed", expectations that its packets meet are
 * used up (spec C4); on kernels that do not ask they always are.
 */
void rust_helper_ct_tmpl_complete(struct nf_conn *tmpl, bool commits)
{
#ifdef HAVE_CT_EXPECT_UNLINK
	if (!commits)
		return;
#endif
	__set_bit(IPS_CONFIRMED_BIT, &tmpl->status);
}

void rust_helper_ct_tmpl_free(struct nf_conn *tmpl)
{
	nf_ct_tmpl_free(tmpl);
}

int rust_helper_ct_tmpl_set_timeout(struct net *net, struct nf_conn *tmpl, bool ipv6, u8 proto,
				    const char *name)
{
	return ovs_ct_set_timeout(net, tmpl, OVS_NFPROTO(ipv6), proto, name);
}

void rust_helper_ct_tmpl_destroy_timeout(struct nf_conn *tmpl)
{
	ovs_ct_destroy_timeout(tmpl);
}

/* The helper, for rust_helper_ct_helper_put(), or an ERR_PTR. */
struct nf_conntrack_helper *rust_helper_ct_tmpl_add_helper(struct nf_conn *tmpl, const char *name,
							   bool ipv6, u8 proto, bool nat)
{
	struct nf_conntrack_helper *helper = NULL;
	int err = nf_ct_add_helper(tmpl, name, OVS_NFPROTO(ipv6), proto, nat, &helper);

	return err ? ERR_PTR(err) : helper;
}

void rust_helper_ct_helper_put(struct nf_conntrack_helper *helper, bool nat)
{
#if IS_ENABLED(CONFIG_NF_NAT)
	if (nat)
		ovs_nat_helper_put(helper);
#endif
	nf_conntrack_helper_put(helper);
}

/* ---- label spaces ---- */

int rust_helper_ct_labels_get(struct net *net, unsigned int bits)
{
#ifdef CONFIG_NF_CONNTRACK_LABELS
	return nf_connlabels_get(net, bits - 1);
#else
	return -ENOTSUPP;
#endif
}

void rust_helper_ct_labels_put(struct net *net)
{
#ifdef CONFIG_NF_CONNTRACK_LABELS
	nf_connlabels_put(net);
#endif
}

#else /* CONFIG_NF_CONNTRACK */
#include "conntrack_off.c"
#endif

/* ---- connections in a zone ---- */

#if IS_ENABLED(CONFIG_NETFILTER_CONNCOUNT) && IS_ENABLED(CONFIG_NF_CONNTRACK)
struct nf_conncount_data *rust_helper_conncount_init(struct net *net)
{
#ifdef HAVE_CONNCOUNT_FAMILY
	return nf_conncount_init(net, NFPROTO_INET, sizeof(u32));
#else
	return nf_conncount_init(net, sizeof(u32));
#endif
}

/* May sleep. */
void rust_helper_conncount_destroy(struct net *net, struct nf_conncount_data *data)
{
#ifdef HAVE_CONNCOUNT_FAMILY
	nf_conncount_destroy(net, NFPROTO_INET, data);
#else
	nf_conncount_destroy(net, data);
#endif
}

/* With skb its connection counts. */
u32 rust_helper_conncount_count(struct net *net, struct nf_conncount_data *data,
				const struct sk_buff *skb, bool ipv6, u16 id)
{
	u32 key = id;
#ifdef HAVE_CONNCOUNT_SKB
	return nf_conncount_count_skb(net, skb, skb ? OVS_NFPROTO(ipv6) : 0, data, &key);
#else
	struct nf_conn *ct = skb ? ovs_ct_of(skb) : NULL;
	struct nf_conntrack_zone zone;

	nf_ct_zone_init(&zone, id, NF_CT_DEFAULT_ZONE_DIR, 0);
	return nf_conncount_count(net, data, &key,
				  ct ? &ct->tuplehash[IP_CT_DIR_ORIGINAL].tuple : NULL, &zone);
#endif
}
#else
struct nf_conncount_data *rust_helper_conncount_init(struct net *net)
{
	return ERR_PTR(-EOPNOTSUPP);
}

void rust_helper_conncount_destroy(struct net *net, struct nf_conncount_data *data)
{
}

u32 rust_helper_conncount_count(struct net *net, struct nf_conncount_data *data,
				const struct sk_buff *skb, bool ipv6, u16 id)
{
	return 0;
}
#endif
