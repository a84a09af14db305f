// SPDX-License-Identifier: GPL-2.0
//! Network devices.
//!
//! C counterpart: `include/linux/netdevice.h`.

use crate::rust::bindings;
use crate::rust::net::netns::NetRef;
use crate::rust::net::skbuff::SkBuff;
use crate::rust::sync::{OvsRtnl, RcuGuard};
use core::ffi::{c_int, c_void};
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};
use kernel::error::{to_result, Result};

/// `dev->type` of Ethernet devices.
pub const ARPHRD_ETHER: u16 = 1;
/// `dev->type` of devices whose packets have no link layer header.
pub const ARPHRD_NONE: u16 = 0xFFFE;
const IFF_LOOPBACK: u32 = 1 << 3;

/// Evidence that the RTNL is held.
///
/// # Safety
///
/// It must be, as long as the value is borrowed.
pub unsafe trait RtnlHeld {}
// SAFETY: the token releases it only when dropped.
unsafe impl RtnlHeld for OvsRtnl {}

/// The RTNL held by whoever called us.
pub struct CallersRtnl(());
// SAFETY: by `CallersRtnl::assume`.
unsafe impl RtnlHeld for CallersRtnl {}

impl CallersRtnl {
    /// For callbacks that the kernel calls under the RTNL.
    ///
    /// # Safety
    ///
    /// It is held as long as the value lives.
    pub unsafe fn assume() -> Self {
        Self(())
    }
}

/// Evidence that a namespace that a device was seen in stays as long as the value is borrowed.
///
/// A device leaves its namespace under the RTNL, and waits for readers before the namespace goes.
///
/// # Safety
///
/// The RTNL is held, or an RCU read section lasts, as long as the value is borrowed.
pub unsafe trait KeepsNet {}
// SAFETY: a read section.
unsafe impl KeepsNet for RcuGuard {}
// SAFETY: the RTNL.
unsafe impl KeepsNet for OvsRtnl {}
// SAFETY: the RTNL.
unsafe impl KeepsNet for CallersRtnl {}

/// Called for each packet that a device receives.
pub type RxHandler =
    unsafe extern "C" fn(*mut *mut bindings::sk_buff) -> bindings::rx_handler_result_t;

/// A network device that stays for `'a`: as long as the token, the reference or the port lasts through which it was
/// found.
///
/// # Invariants
///
/// Points to a `net_device` whose memory stays for `'a`.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct NetDevice<'a>(
    NonNull<bindings::net_device>,
    PhantomData<&'a bindings::net_device>,
);

/// Reads a field. Others may write fields at the same time, so no reference to the structure is made.
macro_rules! field {
    ($self:ident . $($f:ident).+) => {
        // SAFETY: valid by the invariant of NetDevice; a word that C, too, reads without a lock.
        unsafe { ptr::read_volatile(&raw const (*$self.as_ptr()).$($f).+) }
    };
}

impl<'a> NetDevice<'a> {
    /// Wraps C's pointer; `None` if null.
    ///
    /// # Safety
    ///
    /// The device stays for `'a`.
    #[inline(always)]
    pub unsafe fn from_raw(dev: *mut bindings::net_device) -> Option<Self> {
        // INVARIANT: the caller promises it.
        Some(Self(NonNull::new(dev)?, PhantomData))
    }

    /// The same of a pointer that is not null.
    ///
    /// # Safety
    ///
    /// As for [`Self::from_raw`].
    pub unsafe fn from_non_null(dev: NonNull<bindings::net_device>) -> Self {
        // INVARIANT: the caller promises it.
        Self(dev, PhantomData)
    }

    /// The C pointer.
    #[inline(always)]
    pub fn as_ptr(&self) -> *mut bindings::net_device {
        self.0.as_ptr()
    }

    /// NUL-padded.
    pub fn name(&self) -> [u8; 16] {
        let mut name = [0; 16];
        // A rename at the same time may tear the name, as it may in C.
        let now: [core::ffi::c_char; 16] = field!(self.name);
        for (to, from) in name.iter_mut().zip(now).take(15) {
            if from == 0 {
                break;
            }
            *to = from as u8; // CAST: C's char is a byte
        }
        name
    }

    #[allow(missing_docs)]
    pub fn ifindex(&self) -> i32 {
        field!(self.ifindex)
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn mtu(&self) -> u32 {
        field!(self.mtu)
    }

    #[inline(always)]
    #[allow(missing_docs)]
    pub fn hard_header_len(&self) -> u16 {
        field!(self.hard_header_len)
    }

    /// `ARPHRD_*`
    #[inline(always)]
    pub fn kind(&self) -> u16 {
        field!(self.type_)
    }

    /// `netif_running(dev) && netif_carrier_ok(dev)`
    #[inline(always)]
    pub fn is_ready(&self) -> bool {
        const START: u64 = 1 << bindings::ovs_link_state_LINK_STATE_START;
        const NOCARRIER: u64 = 1 << bindings::ovs_link_state_LINK_STATE_NOCARRIER;
        field!(self.state) & (START | NOCARRIER) == START
    }

    #[allow(missing_docs)]
    pub fn is_loopback(&self) -> bool {
        field!(self.flags) & IFF_LOOPBACK != 0
    }

    /// The namespace it is in now.
    pub fn net<'g>(&self, _token: &'g impl KeepsNet) -> NetRef<'g> {
        let net = field!(self.nd_net.net);
        // SAFETY: a device is always in one, which the token keeps.
        unsafe { NetRef::from_raw(net) }
    }

    /// Whether that is `net`.
    #[inline(always)]
    pub fn is_in(&self, net: NetRef<'_>) -> bool {
        field!(self.nd_net.net) == net.as_ptr()
    }

    /// What [`Self::attach_port`] was given, for the packet in the handler's hands.
    ///
    /// # Safety
    ///
    /// Only from the handler, or under the RTNL while the device is attached.
    #[inline(always)]
    pub unsafe fn rx_handler_data(&self) -> *mut c_void {
        field!(self.rx_handler_data)
    }

    /// `dev_get_stats`; zeros for a device that is leaving, whose driver may have freed them already.
    ///
    /// That is enough: a device stops being registered before the grace period that comes before the driver's
    /// `ndo_uninit`, so what this read section finds in one that is registered stays until the section ends. What goes
    /// later, in the device's destructor, waits for references too.
    pub fn stats(&self, _rcu: &RcuGuard) -> bindings::rtnl_link_stats64 {
        let mut s = MaybeUninit::<bindings::rtnl_link_stats64>::zeroed();
        // SAFETY: valid by the invariant; the structure is plain numbers, filled by the call.
        unsafe {
            if self.is_registered() {
                bindings::dev_get_stats(self.as_ptr(), s.as_mut_ptr());
            }
            s.assume_init()
        }
    }

    /// True between attaching to a datapath and leaving it.
    pub fn is_ovs_port(&self) -> bool {
        // SAFETY: valid by the invariant.
        unsafe { bindings::rust_helper_netif_is_ovs_port(self.as_ptr()) }
    }

    /// False once it is leaving, or before it has come.
    pub fn is_registered(&self) -> bool {
        // SAFETY: valid by the invariant.
        unsafe { bindings::rust_helper_netif_is_registered(self.as_ptr()) }
    }

    #[allow(missing_docs)]
    pub fn fwd_headroom(&self) -> u16 {
        // SAFETY: valid by the invariant. CAST: the field is 16 bits wide.
        unsafe { bindings::rust_helper_netdev_get_fwd_headroom(self.as_ptr()) as u16 }
    }

    #[allow(missing_docs)]
    pub fn set_rx_headroom(&self, headroom: u16) {
        // SAFETY: valid by the invariant.
        unsafe { bindings::rust_helper_netdev_set_rx_headroom(self.as_ptr(), headroom.into()) }
    }

    #[allow(missing_docs)]
    pub fn reset_rx_headroom(&self) {
        // SAFETY: valid by the invariant.
        unsafe { bindings::rust_helper_netdev_reset_rx_headroom(self.as_ptr()) }
    }

    #[allow(missing_docs)]
    pub fn count_tx_error(&self) {
        // SAFETY: valid by the invariant.
        unsafe { bindings::rust_helper_dev_count_tx_error(self.as_ptr()) }
    }

    /// Counts a packet sent, for devices with `tstats`.
    #[inline(always)]
    pub fn count_tx(&self, len: usize) {
        // SAFETY: valid by the invariant. CAST: a packet's length has 32 bits.
        unsafe { bindings::rust_helper_dev_count_tx(self.as_ptr(), len as u32) }
    }

    /// `dev_queue_xmit`
    #[inline(always)]
    pub fn xmit(&self, skb: SkBuff) {
        // SAFETY: valid by the invariant; ownership of the packet goes to the kernel.
        unsafe { bindings::rust_helper_dev_xmit(skb.into_raw(), self.as_ptr()) };
    }

    /// Sends the L3 packet in a frame as IP fragments of at most `mru` bytes, each in a frame of its own, or with
    /// `internal` hands them to the stack. `net` counts them. Drops the packet if its network header, of IPv4 or with
    /// `ipv6` IPv6, is not where that can be done.
    pub fn fragment(
        &self,
        skb: SkBuff,
        net: NetRef<'_>,
        mru: u16,
        ipv6: bool,
        internal: bool,
        _rcu: &RcuGuard,
    ) {
        let l2 = skb.network_offset();
        let l3 = if ipv6 { 40 } else { 20 };
        // CAST: a small constant.
        let fits = l2 <= bindings::OVS_FRAG_L2_MAX as usize;
        if !fits || skb.linear().len() < l2.wrapping_add(l3) {
            return;
        }
        // SAFETY: device and namespace are there; in a read section; both headers are linear, the first fits its copy;
        // ownership of the packet goes to the kernel.
        unsafe {
            bindings::rust_helper_fragment(
                skb.into_raw(),
                self.as_ptr(),
                net.as_ptr(),
                mru,
                ipv6,
                internal,
            )
        };
    }

    /// Hands a frame to the stack as received by this device, or drops it if the device is down.
    pub fn receive(&self, skb: SkBuff) {
        // SAFETY: valid by the invariant; ownership of the packet goes to the kernel.
        unsafe { bindings::rust_helper_dev_receive(skb.into_raw(), self.as_ptr()) };
    }

    #[allow(missing_docs)]
    pub fn set_promiscuity(&self, _rtnl: &impl RtnlHeld, inc: c_int) {
        // SAFETY: valid device, lock held.
        unsafe { bindings::dev_set_promiscuity(self.as_ptr(), inc) };
    }

    /// Its packets go to `handler` with `data` from now on, `master` is its master (spec W2).
    ///
    /// # Safety
    ///
    /// `data` must be what `handler` expects until [`Self::detach_port`] has returned.
    pub unsafe fn attach_port(
        &self,
        _rtnl: &impl RtnlHeld,
        master: NetDevice<'_>,
        handler: RxHandler,
        data: *const c_void,
    ) -> Result {
        let (dev, master) = (self.as_ptr(), master.as_ptr());
        let none = ptr::null_mut();
        // SAFETY: valid devices, lock held; the caller answers for `data`.
        unsafe {
            to_result(bindings::netdev_master_upper_dev_link(
                dev,
                master,
                none,
                none,
                ptr::null_mut(),
            ))?;
            let err = bindings::netdev_rx_handler_register(dev, Some(handler), data.cast_mut());
            if err != 0 {
                bindings::netdev_upper_dev_unlink(dev, master);
                return to_result(err);
            }
            bindings::dev_disable_lro(dev);
            bindings::dev_set_promiscuity(dev, 1);
            bindings::rust_helper_netif_set_ovs_port(dev);
        }
        Ok(())
    }

    /// Undoes [`Self::attach_port`]; waits for packets that are on their way. Does nothing the second time.
    pub fn detach_port(&self, _rtnl: &impl RtnlHeld) {
        if !self.is_ovs_port() {
            return;
        }
        let dev = self.as_ptr();
        // SAFETY: valid device, attached, lock held.
        unsafe {
            bindings::netdev_rx_handler_unregister(dev);
            let master = bindings::netdev_master_upper_dev_get(dev);
            if !master.is_null() {
                bindings::netdev_upper_dev_unlink(dev, master);
            }
            bindings::dev_set_promiscuity(dev, -1);
            bindings::rust_helper_netif_clear_ovs_port(dev);
        }
    }
}

/// A counted reference to a device, which does not go as long as there is one: who unregisters it waits.
///
/// # Invariants
///
/// Owns one reference.
pub struct DeviceRef(NonNull<bindings::net_device>);

// SAFETY: devices are shared by all CPUs, and references are given back on any.
unsafe impl Send for DeviceRef {}

impl DeviceRef {
    /// Takes a reference to a device.
    pub fn new(dev: NetDevice<'_>) -> Self {
        // SAFETY: valid by the invariant of `NetDevice`.
        unsafe { bindings::rust_helper_dev_hold(dev.as_ptr()) };
        // INVARIANT: taken just above.
        Self(dev.0)
    }

    /// Finds the device called `name`, or with that alternative name.
    pub fn by_name(net: NetRef<'_>, name: &[u8; 16]) -> Option<Self> {
        let mut name = *name;
        name[15] = 0;
        // SAFETY: the namespace is there and the name ends with a NUL.
        // INVARIANT: the lookup takes a reference.
        NonNull::new(unsafe { bindings::dev_get_by_name(net.as_ptr(), name.as_ptr().cast()) })
            .map(Self)
    }

    /// The device.
    pub fn get(&self) -> NetDevice<'_> {
        // INVARIANT: the reference keeps the memory.
        NetDevice(self.0, PhantomData)
    }
}

impl Drop for DeviceRef {
    fn drop(&mut self) {
        // SAFETY: ours by the invariant. Any context.
        unsafe { bindings::rust_helper_dev_put(self.0.as_ptr()) }
    }
}

/// Devices that are to be unregistered together, see [`unregister_all`].
///
/// # Invariants
///
/// Points to an initialised list head of registered devices.
pub struct Leaving(*mut bindings::list_head);

impl Leaving {
    /// Adds a device.
    ///
    /// # Safety
    ///
    /// The device is registered and not on such a list; nobody else unregisters it.
    pub unsafe fn add(&mut self, _rtnl: &impl RtnlHeld, dev: NetDevice<'_>) {
        // SAFETY: by the caller; a list head by the invariant.
        unsafe { bindings::unregister_netdevice_queue(dev.as_ptr(), self.0) };
    }

    /// Has a device's driver add it, as `ip link delete` has (`rtnl_delete_link`).
    ///
    /// # Safety
    ///
    /// As for [`Self::add`].
    pub unsafe fn delete(&mut self, _rtnl: &impl RtnlHeld, dev: NetDevice<'_>) {
        // SAFETY: by the caller; a list head by the invariant.
        unsafe { bindings::rust_helper_dev_delete(dev.as_ptr(), self.0) };
    }
}

/// Unregisters the devices that `fill` adds, in this order, with two grace periods for all. Readers and packets have
/// left them afterwards; their memory goes when the RTNL is released, which waits for all who refer to them. So the
/// token is the one that releases the mutex before.
pub fn unregister_all(rtnl: &OvsRtnl, fill: impl FnOnce(&mut Leaving)) {
    let _ = rtnl;
    let mut head = MaybeUninit::<bindings::list_head>::uninit();
    let head = head.as_mut_ptr();
    // SAFETY: `head` stays where it is until the list is empty again. Lock held.
    unsafe {
        (*head).next = head;
        (*head).prev = head;
        // INVARIANT: initialised just above.
        fill(&mut Leaving(head));
        bindings::unregister_netdevice_many(head);
    }
}
