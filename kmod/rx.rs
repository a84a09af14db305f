// SPDX-License-Identifier: GPL-2.0
//! Where packets of netdev ports enter the switch.
//!
//! C counterpart: `netdev_frame_hook()` in `net/openvswitch/vport-netdev.c`.

use crate::datapath::datapath::Datapath;
use crate::datapath::ports::port::Vport;
use crate::datapath::wire::ether;
use crate::rust::bindings;
use crate::rust::net::netdev::{NetDevice, ARPHRD_ETHER};
use crate::rust::net::skbuff::{pkt_type, SkBuff};
use crate::rust::sync::BhGuard;
use core::ptr::NonNull;

const PASS: bindings::rx_handler_result_t = bindings::rx_handler_result_RX_HANDLER_PASS;
const CONSUMED: bindings::rx_handler_result_t = bindings::rx_handler_result_RX_HANDLER_CONSUMED;
const PACKET_LOOPBACK: u8 = 5;

/// The rx handler of a port's device (spec W3).
///
/// # Safety
///
/// Called by the kernel in a BH-disabled RCU section, for a device whose handler data is its vport.
pub unsafe extern "C" fn frame_hook(
    pskb: *mut *mut bindings::sk_buff,
) -> bindings::rx_handler_result_t {
    // SAFETY: the kernel passes a packet, which we may replace or consume.
    let skb = unsafe { NonNull::new_unchecked(*pskb) };
    // SAFETY: a valid packet.
    if unsafe { pkt_type(skb) } == PACKET_LOOPBACK {
        return PASS;
    }
    // SAFETY: a valid packet, whose reference is ours.
    let Some(mut pkt) = (unsafe { SkBuff::from_shared(skb) }) else {
        return CONSUMED;
    };
    // SAFETY: a received packet has a device, alive in this section.
    let dev = unsafe { NetDevice::from_raw(pkt.dev()).unwrap_unchecked() };
    // SAFETY: called from the handler. The data is a vport, which outlives the section.
    let Some(vport) = (unsafe { dev.rx_handler_data().cast::<Vport>().as_ref() }) else {
        pkt.kfree(bindings::ovs_core_drop_DROP_NOT_SPECIFIED);
        return CONSUMED;
    };
    let is_ether = dev.kind() == ARPHRD_ETHER;
    if pkt.warn_if_lro() || (is_ether && !pkt.push_rcsum(ether::HLEN)) {
        pkt.kfree(bindings::ovs_core_drop_DROP_NOT_SPECIFIED);
        return CONSUMED;
    }
    // SAFETY: by this function's contract.
    let bh = unsafe { BhGuard::assume() };
    let _ = Datapath::receive(vport, pkt, &bh);
    CONSUMED
}
