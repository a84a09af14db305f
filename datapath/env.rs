// SPDX-License-Identifier: GPL-2.0
//! Every trait the switch asks of the world, and the aliases by which it names the answers.
//!
//! A build has exactly one world ([`crate::World`]): the kernel's, or the fake one of the tests. The traits
//! are the contract; the rest of the switch uses the aliases [`Packet`], [`Device`], [`Net`], [`Reply`],
//! [`Upcall`] and is generic over nothing.
//!
//! Byte order: fields named `be` or typed `[u8; N]` are network order, everything else is host order.

pub mod conntrack;

use crate::datapath::error::DropReason;
use crate::datapath::ports::port::Vport;
use crate::datapath::trace::{Place, Step};
use crate::datapath::wire::be::Be16;
use crate::rust::sync::{BhGuard, MaySleep, OvsGuard, OvsRtnl, RcuGuard};
use kernel::error::{Error, Result};

/// An sk_buff or its stand-in, owned. Dropping it consumes the packet (not counted as a drop).
pub type Packet = <crate::World as Env>::Packet;
/// The network device below a vport.
pub type Device = <crate::World as Env>::Device;
/// A network namespace.
pub type Net = <crate::World as Env>::Net;
/// A netlink message under construction, for one receiver or a group.
pub type Reply = <crate::World as Env>::Reply;
/// Tunnel metadata to send packets with.
pub type TxTunnel = <crate::World as Env>::TxTunnel;
/// An upcall message under construction.
pub type Upcall = <crate::World as Env>::Upcall;

/// The world around the switch.
pub trait Env: Sized + 'static {
    type Packet: PacketOps + conntrack::TrackedOps;
    type Device: DeviceOps;
    type Net: NetOps;
    type Reply: ReplyOps;
    type Upcall: UpcallOps;
    type Template: conntrack::TemplateOps;
    type LabelSpace: Send + Sync;
    type ConnCount: conntrack::ConnCountOps;

    /// What of connection tracking there is.
    const CONNTRACK: conntrack::Features;
    type TxTunnel: TxTunnelOps;

    /// A uniformly random number, cheap enough for the packet path (SAMPLE).
    fn random_u32() -> u32;
    /// Monotonic time in milliseconds, tick resolution is enough (flow `used`, spec F13).
    fn now_ms() -> u64;
    /// A rate-limited line in the kernel log (spec N11); `false` while the limiter is closed.
    fn log_allowed() -> bool;
    /// The tracepoint `ovs_do_execute_action`, to which somebody listens (spec X3).
    fn trace_action(pkt: &Self::Packet, at: &Place<'_>, step: &Step);
    /// The same for `ovs_dp_upcall`.
    fn trace_upcall(pkt: &Self::Packet, at: &Place<'_>, cmd: u8, portid: u32);
    /// What of PSAMPLE there is.
    fn psample() -> Psample;
    /// Whether rules of tc can tell what they know of the packets that they let go on (NET_TC_SKB_EXT, spec D8).
    fn tc_tells() -> bool;
    /// Asks them to, or no longer: as often off as on. Sleeps.
    fn ask_tc(on: bool, ovs: &OvsGuard);
    /// The fields of connection tracking that keys have here.
    fn ct_fields() -> CtFields;
    /// Number of possible CPU ids; per-CPU arrays in messages are capped by it (spec D11, V1, V11).
    fn nr_cpu_ids() -> u32;
    /// Bytes of memory that kernel buffers may come from, used or not; bounds the number of meters (spec M1).
    fn buffer_memory() -> u64;
}

/// Fields of connection tracking, which depend on the kernel (spec 2.1). A key that names another one is refused;
/// those that there are stand in every key that is told, even when zero (K19).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CtFields {
    /// CT_STATE and the original direction's tuples: there is connection tracking.
    pub state: bool,
    pub zone: bool,
    pub mark: bool,
    pub labels: bool,
}

impl CtFields {
    pub const NONE: Self = Self {
        state: false,
        zone: false,
        mark: false,
        labels: false,
    };
    pub const ALL: Self = Self {
        state: true,
        zone: true,
        mark: true,
        labels: true,
    };
}

/// What there is of PSAMPLE, which depends on the kernel (spec A14).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Psample {
    /// An unknown action: the kernel's samples have no probability, and its C module no such action.
    Unknown,
    /// The kernel is configured without samples.
    Off,
    On,
}

/// What PSAMPLE says of a packet (`struct psample_metadata`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample<'a> {
    pub group: u32,
    /// For whoever reads the group; at most 16 bytes.
    pub cookie: &'a [u8],
    /// With which probability it was chosen, of `u32::MAX`; not 0.
    pub probability: u32,
    /// Bytes of the packet that are shown, at most its length.
    pub len: u32,
    /// The device that the packet came in through.
    pub in_ifindex: i32,
}

/// Out of memory on the packet path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoMem;

/// Checksum state of a packet (`skb->ip_summed`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpSummed {
    None,
    Unnecessary,
    /// `csum()` is the sum over the whole packet from the current data pointer.
    Complete,
    /// The device will complete the checksum; the field holds the pseudo-header sum.
    Partial,
}

/// An 802.1Q/802.1ad tag. Both fields in host order; `tci` carries the CFI bit 0x1000 when present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct VlanTag {
    pub tpid: u16,
    pub tci: u16,
}

/// The switch's own per-packet state (`struct ovs_skb_cb`, spec S10). Plain data, copied with clones
/// and segments; at most 24 bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct PacketMeta {
    /// Port whose upcall statistics and portids count for this packet; `PortNo::LOCAL` for EXECUTE without one.
    pub in_port: u16,
    /// Largest L3 packet received as fragments, 0 if none (bytes).
    pub mru: u16,
    /// Bytes to keep in the next OUTPUT, USERSPACE or PSAMPLE; `u32::MAX` for all (spec A13, U11).
    pub cutlen: u32,
    /// Probability of the innermost SAMPLE, 0 if none.
    pub probability: u32,
    /// Netlink port that overrides every upcall's destination, 0 if none (spec U2).
    pub upcall_pid: u32,
    /// `orig_len` of the action list being executed (spec A7), for USERSPACE with the ACTIONS flag.
    pub acts_origlen: u32,
}

/// What a tunnel device tells of the outer headers (`struct ip_tunnel_info`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelInfo<'a> {
    pub id: [u8; 8],
    /// `TUN_IPV4` or `TUN_IPV6` of the flow key.
    pub proto: u8,
    /// IPv4 addresses are the first 4 bytes.
    pub src: [u8; 16],
    pub dst: [u8; 16],
    pub tp_src: Be16,
    pub tp_dst: Be16,
    /// `tun_flag` of the flow key; to be sent also `TUN_CRIT_OPT`.
    pub flags: u16,
    pub tos: u8,
    pub ttl: u8,
    /// At most 255 bytes.
    pub options: &'a [u8],
}

/// What rules of tc say of a packet that they let go on to the switch (`struct tc_skb_ext`, spec K21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcState {
    /// The chain that the packet was sent to and no rule of which took it: where the switch goes on, as its recirc_id.
    pub chain: u32,
    /// [`PacketMeta::mru`]
    pub mru: u16,
    /// A CT action was among those that were carried out.
    pub post_ct: Option<PostCt>,
}

/// What tc's CT action has done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostCt {
    /// Where it looked for the connection of a packet that has none.
    pub zone: u16,
    /// It has translated the packet's source; its destination.
    pub src_nat: bool,
    pub dst_nat: bool,
}

/// A bit of [`TunnelInfo::flags`] of what is sent: a Geneve option must be understood by whoever receives it.
pub const TUN_CRIT_OPT: u16 = 1 << 7;

/// Tunnel metadata that packets are sent with (`metadata_dst`, spec A26): packets share it with the action that says so,
/// and have references of their own. Dropped in softirqs, too.
pub trait TxTunnelOps: Sized + Send + Sync {
    /// To IPv4 address 0: the tunnel device knows where. ENOMEM.
    fn new(info: &TunnelInfo<'_>) -> Result<Self>;
}

/// What the switch does with a packet. Offsets are bytes from the current data pointer, which stands at
/// the L2 header (L3 header for packets of mac_proto NONE) whenever the switch holds the packet.
#[allow(clippy::len_without_is_empty)] // nobody asks whether a packet is empty
pub trait PacketOps: Sized {
    /// Total length in bytes, linear and paged.
    fn len(&self) -> usize;
    /// The linear part from the data pointer on.
    fn linear(&self) -> &[u8];
    /// Makes the first `n` bytes linear; `Err` if memory is short. Caller has checked `n <= len()`.
    fn pull(&mut self, n: usize) -> Result<(), NoMem>;
    /// Makes the first `n` bytes linear and private to this packet (`skb_ensure_writable`), and gives them out for
    /// writing. EINVAL/ENOMEM.
    fn ensure_writable(&mut self, n: usize) -> Result<&mut [u8]>;
    /// Drops everything past `len` bytes (`pskb_trim`). ENOMEM.
    fn trim(&mut self, len: usize) -> Result<()>;

    /// `N` bytes at `off`, pulled if need be; `None` if the packet is too short or memory ran out.
    #[inline(always)]
    fn header<const N: usize>(&mut self, off: usize) -> Option<&[u8; N]> {
        let end = off.saturating_add(N);
        if self.linear().len() < end {
            if self.len() < end {
                return None;
            }
            self.pull(end).ok()?;
        }
        self.linear().get(off..)?.first_chunk()
    }

    /// `N` bytes at `off` for writing.
    #[inline]
    fn writable<const N: usize>(&mut self, off: usize) -> Result<&mut [u8; N]> {
        let bytes = self.ensure_writable(off.saturating_add(N))?;
        let header = bytes.get_mut(off..).and_then(|b| b.first_chunk_mut());
        header.ok_or(kernel::error::code::EINVAL)
    }

    // Header marks, all relative to the data pointer.
    fn set_mac_header(&mut self, off: usize);
    fn set_network_header(&mut self, off: usize);
    fn set_transport_header(&mut self, off: usize);
    /// Where the packet inside an MPLS label stack starts (spec K32).
    fn set_inner_network_header(&mut self, off: usize);
    fn network_offset(&self) -> usize;
    fn inner_network_offset(&self) -> usize;
    fn transport_offset(&self) -> usize;
    /// `skb->mac_len`: from the L2 header to the network header, in-frame tags included.
    fn mac_len(&self) -> usize;
    /// `skb_reset_mac_len()`: recomputed from the marks.
    fn reset_mac_len(&mut self);

    /// `skb->protocol`, host order.
    fn protocol(&self) -> u16;
    /// `skb->inner_protocol`, host order: what stands behind labels that were pushed.
    fn inner_protocol(&self) -> u16;
    fn set_protocol(&mut self, proto: u16);
    fn priority(&self) -> u32;
    fn set_priority(&mut self, v: u32);
    fn mark(&self) -> u32;
    fn set_mark(&mut self, v: u32);

    /// The tag carried beside the data ("hwaccel"), if any. Its tci may lack the CFI bit.
    fn vlan_tag(&self) -> Option<VlanTag>;
    /// Moves the outermost in-frame tag (at offset 12) beside the data. There is one, complete; mac_len shrinks.
    fn untag_vlan(&mut self) -> Result<(), NoMem>;
    /// `skb_vlan_push`: a tag already beside the data moves into the frame first. Where the network header's mark stands
    /// then depends on the kernel: at the header as before, or (since 6.12) at the tag.
    fn push_vlan(&mut self, tag: VlanTag) -> Result<()>;
    /// The same for a packet without a tag beside the data (`__vlan_hwaccel_put_tag`), which cannot fail. [`Self::mac_len`] is the
    /// distance of the headers already, as after everything that moves one of them.
    fn put_vlan_beside(&mut self, tag: VlanTag);
    /// `skb_vlan_pop`: removes the outermost tag; the next in-frame tag, if any, moves beside the data.
    fn pop_vlan(&mut self) -> Result<()>;
    /// `skb_eth_push`: an Ethernet header in front of an L3 packet, its type is `protocol()`. EPROTO if tagged.
    fn push_eth(&mut self, dst: &[u8; 6], src: &[u8; 6]) -> Result<()>;
    /// `skb_eth_pop`: removes the Ethernet header. EPROTO if tagged or there is none.
    fn pop_eth(&mut self) -> Result<()>;

    /// `skb_mpls_push`: a label stack entry after the first `l2_len` bytes, which are an Ethernet header and its tags or
    /// none; `eth_type` becomes their type and [`Self::protocol`]. EINVAL for encapsulated packets, ENOMEM.
    fn push_mpls(&mut self, entry: [u8; 4], eth_type: u16, l2_len: usize) -> Result<()>;
    /// `skb_mpls_pop`: takes the outermost entry away; nothing if [`Self::protocol`] is not MPLS. `ethernet`: the packet
    /// starts with an Ethernet header, of which `eth_type` becomes the type. EINVAL, ENOMEM.
    fn pop_mpls(&mut self, eth_type: u16, ethernet: bool) -> Result<()>;
    /// `nsh_push`: this service header, whose next protocol follows from the packet, in front of it. EAFNOSUPPORT, ENOMEM,
    /// EINVAL if it has not the length that it says.
    fn push_nsh(&mut self, header: &[u8]) -> Result<()>;
    /// `nsh_pop`: takes the service header away that the packet starts with; [`Self::protocol`] becomes what was in it. EINVAL,
    /// EAFNOSUPPORT, ENOMEM.
    fn pop_nsh(&mut self) -> Result<()>;

    /// Flow hash, computed now if unknown (`skb_get_hash`).
    fn flow_hash(&mut self) -> u32;
    /// Hash that is the same in both directions (`__skb_get_hash_symmetric`).
    fn symmetric_hash(&mut self) -> u32;
    /// Hash as it is, without computing: (value, computed in software, covers L4). Spec U7.
    fn raw_hash(&self) -> (u32, bool, bool);
    fn set_raw_hash(&mut self, value: u32, sw: bool, l4: bool);
    fn clear_hash(&mut self);

    fn ip_summed(&self) -> IpSummed;
    /// `skb->csum`: ones' complement accumulator of the 16-bit words as they lie in memory; meaningful for `Complete`.
    fn csum(&self) -> u32;
    fn set_csum(&mut self, v: u32);

    /// CRC32c of an SCTP packet whose header starts at `off`, computed as if its checksum field were zero, in the
    /// form the field holds (`sctp_compute_cksum`). Covers paged data.
    fn sctp_checksum(&mut self, off: usize) -> u32;

    /// True for an aggregate that a device or the stack will cut up (`skb_is_gso`).
    fn is_gso(&self) -> bool;
    /// About how many packets an aggregate stands for, not fewer; 1 for every other packet.
    fn segments(&self) -> u32;
    /// True for a UDP-fragmentation aggregate (`SKB_GSO_UDP`, spec K27, U11).
    fn is_gso_udp(&self) -> bool;
    /// True for an aggregate whose segments have at most `len` bytes, L2 header included (`skb_gso_validate_mac_len`).
    fn segments_fit(&self, len: usize) -> bool;
    /// Cuts an aggregate in software and hands each segment to `f` in order until it errs (spec U11).
    fn for_each_segment(
        &mut self,
        f: &mut impl FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()>;

    /// Forgets what connection tracking has attached, and asks it to leave the packet alone (`ovs_ct_clear`).
    fn reset_conntrack(&mut self);
    /// Says that fragmenting is allowed whatever DF says (`skb->ignore_df`, spec P2).
    fn set_ignore_df(&mut self);
    /// Names the device the packet seems to come from (`skb->dev`). False if the port has been unlinked meanwhile: no action
    /// may see a packet without a device.
    #[must_use]
    fn set_device(&mut self, dev: &Device, bh: &BhGuard) -> bool;
    /// Entering a datapath of `net`: a packet whose device is in another namespace loses what that namespace
    /// attached to it, all but the mark (spec W4). One comparison for the others.
    fn enter_net(&mut self, net: &Net);

    /// A route or a connection is attached, or [`Self::tc_state`], so that [`Self::tunnel`] may have something to say. One look
    /// for all.
    fn has_state(&self) -> bool;
    /// What tc said of it, while a datapath wants to know ([`Env::ask_tc`]).
    fn tc_state(&self) -> Option<TcState>;
    /// The tunnel that the packet was received through (spec K17).
    fn tunnel(&self) -> Option<TunnelInfo<'_>>;
    /// The packet is to be sent through this tunnel; forgets any route or tunnel that it had.
    fn set_tunnel(&mut self, tunnel: &TxTunnel);
    /// The tunnel that `dev` would send the packet through (`dev_fill_metadata_dst`, spec A33); `None` if it cannot say.
    fn egress_tunnel(&mut self, dev: &Device, bh: &BhGuard) -> Option<TunnelInfo<'_>>;

    /// Shows a copy to who listens to a psample group of `net` (`psample_sample_packet`). Nothing where there is no psample.
    fn sample(&self, net: &Net, sample: &Sample<'_>);

    fn meta(&self) -> &PacketMeta;
    fn meta_mut(&mut self) -> &mut PacketMeta;

    /// A second owner of the same bytes (`skb_clone`), meta included. The packet, too, notes that it shares them.
    fn try_clone(&mut self) -> Result<Self, NoMem>;
    /// Drops with a reason (`kfree_skb_reason`), seen by drop monitors.
    fn discard(self, why: DropReason);
    /// `skb_tx_error`: tells a zerocopy sender that the packet failed.
    fn tx_error(&mut self);
    /// A new packet with a copy of `bytes` for EXECUTE (spec P2); protocol and marks unset. ENOMEM.
    fn from_bytes(bytes: &[u8], ctx: &impl MaySleep) -> Result<Self>;
}

/// Counters of a device (`struct rtnl_link_stats64`), what `OVS_VPORT_ATTR_STATS` needs (spec V13).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

/// A device name, NUL-padded, at most 15 bytes.
pub type DeviceName = [u8; 16];

/// Tunnels of whose vports the device is made (spec W21).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelKind {
    Gre,
    Vxlan,
    Geneve,
}

/// With what the device of a tunnel's vport is made (spec W21). Ports in host order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TunnelConfig {
    Gre,
    /// `gbp`: the group policy extension.
    Vxlan {
        dst_port: u16,
        gbp: bool,
    },
    Geneve {
        dst_port: u16,
    },
}

/// The device below a vport. Created open, registered if it is internal, made if it is a tunnel, [`DeviceOps::link`]ed
/// once its vport exists, unlinked after the vport left the port table. Ports come and go under `ovs_mutex` and the RTNL
/// together.
pub trait DeviceOps: Sized + Send + Sync {
    /// Finds the netdev `name` in `net`, not an alternative name, and takes a reference. ENODEV, EINVAL (spec W1).
    fn open_netdev(net: &Net, name: &DeviceName, ctx: &impl MaySleep) -> Result<Self>;
    /// Allocates an internal device, not registered yet. `ifindex` 0 lets the kernel choose (spec W10).
    fn new_internal(
        net: &Net,
        name: &DeviceName,
        ifindex: i32,
        ctx: &impl MaySleep,
    ) -> Result<Self>;
    /// A tunnel's device, not made yet; its driver is loaded if need be, and stays. EAFNOSUPPORT if there is none, or if it
    /// makes no devices for others (spec W22).
    fn open_tunnel(kind: TunnelKind, ctx: &impl MaySleep) -> Result<Self>;
    /// Registers an internal device, which gets its final name then (`br%d`). `local`: it is port 0 and stays in its
    /// namespace (W12). Nothing for a netdev. EBUSY, EEXIST, EINVAL, ENOMEM …; a device that was refused is dropped
    /// after the locks.
    fn register(&mut self, rtnl: &OvsRtnl, local: bool) -> Result<()>;
    /// Makes the device of [`Self::open_tunnel`] in `net`, up; of the same kind as `config`. Returns with what it was
    /// made: a driver chooses a port where there is none. It goes with the port, or when linking fails. EEXIST, EINVAL,
    /// EADDRINUSE, ENODEV, ENOMEM …
    fn make_tunnel(
        &mut self,
        rtnl: &OvsRtnl,
        net: &Net,
        name: &DeviceName,
        config: TunnelConfig,
    ) -> Result<TunnelConfig>;
    /// Starts traffic: for a netdev takes rx handler, upper link and promiscuity, its master becomes `master` (W2).
    /// On error nothing remains to undo; none for an internal device. EBUSY, EEXIST, ENODEV …
    fn link(rtnl: &OvsRtnl, vport: &Vport, master: Option<&Device>) -> Result<()>;
    /// Stops traffic and undoes `link`, `register` and `make_tunnel` of all of them (W6, W16, W21), in this order. Each is
    /// out of its table when the iterator yields it; when this returns no new packet enters through any. Their devices
    /// are gone for requests; who refers to them is waited for when the token is dropped, after `ovs_mutex`.
    fn unlink_all<'v>(rtnl: &OvsRtnl, vports: impl Iterator<Item = &'v Vport>);

    /// Current name; differs from the vport's after a rename (V5).
    fn name(&self) -> DeviceName;
    fn ifindex(&self) -> i32;
    /// The id by which `net` knows the namespace that the device is in now, if that is another one, as it may be for
    /// internal ports (W12); allocated if need be, atomically (spec V8, B39).
    fn netnsid(&self, net: &Net) -> Option<i32>;
    /// `dev_get_stats`; zeros for a device that is leaving.
    fn stats(&self) -> DeviceStats;
    /// True if traffic may be sent: running and with carrier (spec A27).
    fn is_ready(&self) -> bool;
    /// Largest L3 packet in bytes.
    fn mtu(&self) -> u32;
    fn hard_header_len(&self) -> u32;
    /// ARPHRD_ETHER (spec K39).
    fn is_ethernet(&self) -> bool;
    /// ARPHRD_NONE. Neither: the device has become something else since, and nothing comes or goes through it.
    fn is_l3(&self) -> bool;
    /// An OVS internal device.
    fn is_internal(&self) -> bool;
    /// False once the netdev has left this port, whatever became of it since (spec W6).
    fn is_attached(&self) -> bool;
    /// `needed_headroom`, 0 for phony-headroom devices; and its setter's propagation (spec W9).
    fn needed_headroom(&self) -> u16;
    fn set_rx_headroom(&self, headroom: u16);
    /// `None` = reset to the device's own default.
    fn reset_rx_headroom(&self);
    /// Counts a packet refused for its length (`tx_errors`, spec A31).
    fn count_tx_error(&self);
    /// Sends: `dev_queue_xmit` for a netdev (W5), up the local stack for an internal device (W15).
    /// L2/L3 rules of K39 and the MTU check of A31 are already done.
    fn send(&self, pkt: Packet, bh: &BhGuard);
    /// The same in IP fragments of at most `mru` bytes, each with the packet's L2 header and tag (spec A30).
    /// That header is linear and has at most 30 bytes; an IPv4 header, or with `ipv6` an IPv6 header, follows. `net`, the
    /// datapath's, counts them.
    fn fragment(&self, pkt: Packet, net: &Net, mru: u16, ipv6: bool, bh: &BhGuard);
}

/// A network namespace.
pub trait NetOps: PartialEq + Send + Sync {
    /// The same namespace, for a datapath in it, which ends before the namespace does ([`exit_net`]). Nobody else keeps
    /// one.
    ///
    /// [`exit_net`]: crate::datapath::control::exit_net
    fn for_datapath(&self) -> Self;
    /// The switch's state in this namespace; lives as long as the namespace has users.
    fn state(&self) -> &crate::datapath::control::PerNet;
    /// The vport of the OVS internal device with this ifindex in this namespace (spec N7).
    fn internal_vport<'g>(&self, ifindex: i32, rcu: &'g RcuGuard) -> Option<&'g Vport>;
    /// The same for who holds the mutex, without which no device stops being a port.
    fn internal_vport_locked<'g>(&self, ifindex: i32, ovs: &'g OvsGuard) -> Option<&'g Vport>;
    /// The ports whose OVS internal device is in this namespace now, wherever their datapath is (spec W17).
    fn internal_ports<'g>(&'g self, rtnl: &'g OvsRtnl) -> impl Iterator<Item = &'g Vport>;
    /// True if someone listens to the family's multicast group (spec N9).
    fn has_listeners(&self, group: Group) -> bool;
    /// Multicasts a kernel-initiated event (portid and seq 0; spec V12).
    fn multicast(&self, group: Group, msg: Reply, ctx: &impl MaySleep);
    /// Tells the group's listeners that a message was lost (`genl_set_err`).
    fn multicast_error(&self, group: Group, err: Error);
}

/// Families (and their multicast groups where they have one, spec N3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    Datapath,
    Vport,
    Flow,
    Packet,
    Meter,
    CtLimit,
}

/// A message buffer that `netlink::writer` fills.
pub trait ReplyOps: Sized {
    /// A buffer with room for `size` bytes, netlink header included. ENOMEM.
    fn new(size: usize, ctx: &impl MaySleep) -> Result<Self>;
    /// All of its room.
    fn room(&mut self) -> &mut [u8];
    /// Says how many bytes of the room are the message. Never more than `room().len()`.
    fn set_len(&mut self, len: usize);
    /// Dynamic id of a family, for `nlmsg_type`.
    fn family_id(family: Group) -> u16;
}

/// An upcall message (spec section 5).
pub trait UpcallOps: Sized {
    /// Room for `meta` bytes of header and attributes, then the PACKET attribute with the first `pkt_len` bytes of
    /// `pkt`. `unaligned`: the socket takes unpadded messages, pages may be shared instead of copied (U6). ENOMEM.
    fn new(meta: usize, pkt: &Packet, pkt_len: usize, unaligned: bool) -> Result<Self>;
    /// The room for header and attributes.
    fn room(&mut self) -> &mut [u8];
    /// `used` bytes of the room are written; appends the PACKET attribute (type `attr`), pads as U6 says, fixes
    /// `nlmsg_len` and unicasts to `portid`. EAGAIN, ECONNREFUSED, ENOMEM …
    fn send(
        self,
        used: usize,
        attr: u16,
        pkt: &mut Packet,
        pkt_len: usize,
        net: &Net,
        portid: u32,
    ) -> Result<()>;
    /// Prepares `pkt` for being copied out: completes a partial checksum and pushes the hwaccel tag into a clone's
    /// data (U5, U16). Returns the clone when one was needed.
    fn prepare(pkt: &mut Packet) -> Result<Option<Packet>>;
}
