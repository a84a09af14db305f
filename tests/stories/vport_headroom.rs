// SPDX-License-Identifier: GPL-2.0
//! Every port's device learns the largest headroom any port needs (W9).

use crate::kit::*;

#[test]
fn w9_grows_and_shrinks() {
    let mut s = Switch::new();
    let small = s.net.add("small");
    let large = s.net.add("large");
    large.set_needed_headroom(64);
    s.add_port("small");
    assert_eq!(small.rx_headroom(), Some(0));
    s.add_port("large");
    assert_eq!(
        (small.rx_headroom(), large.rx_headroom()),
        (Some(64), Some(64))
    );
    let (late, _) = s.add_port("late");
    assert_eq!(late.rx_headroom(), Some(64));

    s.vport(cmd::DEL, &by_name("late")).unwrap();
    assert_eq!(late.rx_headroom(), None, "reset on the leaving device");
    assert_eq!(small.rx_headroom(), Some(64), "another still needs it");
    s.vport(cmd::DEL, &by_name("large")).unwrap();
    assert_eq!((small.rx_headroom(), large.rx_headroom()), (Some(0), None));
}

#[test]
fn w9_shrinks_when_a_device_is_unregistered() {
    let mut s = Switch::new();
    let (small, _) = s.add_port("small");
    let large = s.net.add("large");
    large.set_needed_headroom(64);
    s.add_port("large");
    large.unregister();
    assert_eq!(small.rx_headroom(), Some(0));
}
