// SPDX-License-Identifier: GPL-2.0
//! Any bytes as the key and mask of a flow, of EXECUTE, and as a UFID.
#![no_main]

use kernel::alloc::flags::GFP_KERNEL;
use libfuzzer_sys::fuzz_target;
use openvswitch::datapath::env::CtFields;
use openvswitch::datapath::error::NlResult;
use openvswitch::datapath::flow::hash::masked_hash;
use openvswitch::datapath::flow::mask::eq_masked;
use openvswitch::datapath::flow::parts::{FlowKey, KeyBuf};
use openvswitch::datapath::netlink::attr::Attr;
use openvswitch::datapath::netlink::key::{
    parse_key, parse_match, parse_metadata, parse_ufid, put_key, FlowMatch, KEY_ATTRS_MAX,
};
use openvswitch::datapath::netlink::writer::Writer;
use openvswitch::env::{FakeEnv, FakeNet};

thread_local! {
    static NET: FakeNet = FakeNet::new();
}

/// An attribute with this payload.
fn attr(payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() + 4) as u16;
    let mut v = [&len.to_ne_bytes()[..], &[1, 0], payload].concat();
    v.resize(v.len().next_multiple_of(4), 0);
    v
}

fn emit(key: &KeyBuf, mask: Option<&KeyBuf>) -> Vec<u8> {
    let mut buf = [0; KEY_ATTRS_MAX];
    let mut w = Writer::new(&mut buf);
    put_key(&mut w, 1, key, mask).expect("KEY_ATTRS_MAX is the most there is");
    w.written().to_vec()
}

fn matched(key: Attr<'_>, mask: Option<Attr<'_>>) -> NlResult<FlowMatch> {
    let mut m = FlowMatch::empty();
    NET.with(|net| parse_match(net, key, mask, &mut m))?;
    Ok(m)
}

fn applied(m: &FlowMatch) -> KeyBuf {
    let mut key = KeyBuf::new();
    m.mask.apply(&m.key, &mut key, GFP_KERNEL).expect("memory");
    key
}

fuzz_target!(|input: &[u8]| {
    let Some((&split, bytes)) = input.split_first() else {
        return;
    };
    if bytes.len() > 2000 {
        return;
    }
    // Keys with tunnel options are longer than 255 bytes.
    FakeEnv::set_ct_fields(CtFields::ALL);
    let (key, mask) = bytes.split_at(usize::from(split).saturating_mul(4).min(bytes.len()));
    let (key, mask) = (attr(key), attr(mask));
    let (key, _) = Attr::split_first(&key).expect("an attribute");
    let (mask, _) = Attr::split_first(&mask).expect("an attribute");

    let _ = NET.with(|net| parse_metadata(net, key, &mut FlowKey::new()));
    let _ = parse_ufid(Some(key));
    let exact = matched(key, None);
    let masked = matched(key, Some(mask));
    let alone = NET.with(|net| parse_key(net, key));
    for m in exact.iter().chain(masked.iter()) {
        assert_eq!(alone.as_ref().ok(), Some(&m.key));
        let masked = applied(m);
        assert!(eq_masked(masked.as_ref(), m.key.as_ref(), &m.mask));
        let hash = |key: &KeyBuf| masked_hash(key.as_ref(), &m.mask);
        assert_eq!(hash(&masked), hash(&m.key));
        let written = [
            emit(&m.key, None),
            emit(&masked, None),
            emit(&m.key, Some(&m.mask.key)),
        ];
        // What was written of a whole key and mask is read as a match of no other packets, if it is read.
        let [k, _, m2] = written
            .each_ref()
            .map(|w| Attr::split_first(w).expect("an attribute").0);
        if let Ok(again) = matched(k, Some(m2)) {
            assert!(eq_masked(
                applied(&again).as_ref(),
                m.key.as_ref(),
                &again.mask
            ));
        }
    }
});
