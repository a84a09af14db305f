// SPDX-License-Identifier: GPL-2.0
/*
 * conntrack.c for kernels without connection tracking. There is no template, so nobody gets past
 * making one.
 */

bool rust_helper_ct_describe(const struct sk_buff *skb, struct ovs_ct_conn *out)
{
	return false;
}

bool rust_helper_ct_find(struct net *net, struct sk_buff *skb, const struct nf_conn *tmpl,
			 bool ipv6, bool natted)
{
	return false;
}

bool rust_helper_ct_expected(struct net *net, const struct sk_buff *skb, const struct nf_conn *tmpl,
			     bool ipv6, struct ovs_ct_conn *out)
{
	return false;
}

bool rust_helper_ct_fits(struct net *net, const struct sk_buff *skb, const struct nf_conn *tmpl)
{
	return false;
}

void rust_helper_ct_delete(struct sk_buff *skb)
{
}

int rust_helper_ct_track(struct net *net, struct sk_buff *skb, struct nf_conn *tmpl, bool ipv6)
{
	return OVS_CT_DROP;
}

int rust_helper_ct_defrag(struct net *net, struct sk_buff *skb, u16 zone, bool ipv6, u16 *mru)
{
	kfree_skb(skb);
	return -ENOTSUPP;
}

int rust_helper_ct_nat(struct sk_buff *skb, const struct nf_nat_range2 *range, bool src, bool dst,
		       bool commit, u8 *done)
{
	*done = 0;
	return OVS_CT_DROP;
}

int rust_helper_ct_assign_helper(struct sk_buff *skb, struct nf_conn *tmpl, bool nat)
{
	return -ENOTSUPP;
}

int rust_helper_ct_call_helper(struct sk_buff *skb, bool ipv6)
{
	return OVS_CT_ACCEPT;
}

void rust_helper_ct_note_tracked(struct sk_buff *skb)
{
}

void rust_helper_ct_add_act_ct(struct sk_buff *skb)
{
}

void rust_helper_ct_set_event_mask(struct sk_buff *skb, u32 mask)
{
}

int rust_helper_ct_set_mark(struct sk_buff *skb, u32 value, u32 mask, u32 *new)
{
	return -ENOTSUPP;
}

int rust_helper_ct_init_labels(struct sk_buff *skb, const u8 *value, const u8 *mask, u8 *labels)
{
	return -ENOTSUPP;
}

int rust_helper_ct_replace_labels(struct sk_buff *skb, const u32 *value, const u32 *mask,
				  u8 *labels)
{
	return -ENOTSUPP;
}

int rust_helper_ct_confirm(struct sk_buff *skb)
{
	return OVS_CT_DROP;
}

void rust_helper_ct_deliver_events(struct sk_buff *skb)
{
}

struct nf_conn *rust_helper_ct_tmpl_alloc(struct net *net, u16 id)
{
	return NULL;
}

void rust_helper_ct_tmpl_complete(struct nf_conn *tmpl, bool commits)
{
}

void rust_helper_ct_tmpl_free(struct nf_conn *tmpl)
{
}

int rust_helper_ct_tmpl_set_timeout(struct net *net, struct nf_conn *tmpl, bool ipv6, u8 proto,
				    const char *name)
{
	return -ENOTSUPP;
}

void rust_helper_ct_tmpl_destroy_timeout(struct nf_conn *tmpl)
{
}

struct nf_conntrack_helper *rust_helper_ct_tmpl_add_helper(struct nf_conn *tmpl, const char *name,
							   bool ipv6, u8 proto, bool nat)
{
	return ERR_PTR(-ENOTSUPP);
}

void rust_helper_ct_helper_put(struct nf_conntrack_helper *helper, bool nat)
{
}

int rust_helper_ct_labels_get(struct net *net, unsigned int bits)
{
	return -ENOTSUPP;
}

void rust_helper_ct_labels_put(struct net *net)
{
}
