// SPDX-License-Identifier: GPL-2.0
//! The flow table of a datapath with the flows of a dump in it, and what packets find there.

use crate::fields::{attributes, Ports};
use crate::line::{parse, Line};
use kernel::alloc::flags::GFP_KERNEL;
use openvswitch::client::Bytes;
use openvswitch::datapath::abi::flow_attr;
use openvswitch::datapath::actions::validate::Checker;
use openvswitch::datapath::flow::entry::PreparedFlow;
use openvswitch::datapath::flow::parts::{FlowKey, KeyBuf};
use openvswitch::datapath::flow::table::{Inserted, Table};
use openvswitch::datapath::netlink::attr::Attr;
use openvswitch::datapath::netlink::key::{parse_match, FlowMatch};
use openvswitch::env::FakeNet;
use openvswitch::rust::pod::Pod;
use openvswitch::rust::sync::{BhGuard, OvsGuard, RcuBox, TIDY};
use openvswitch::sys::testing::{process_context, run_rcu};
use std::fmt;
use std::time::{Duration, Instant};

/// Rounds of the periodic work that a table gets before packets come.
const ROUNDS: usize = 100;
/// Classes of the histogram.
const CLASSES: usize = 8;

/// What to do besides what the kernel does.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Leave out lines that cannot be read.
    pub skip: bool,
    /// Take in flows that other datapaths than the kernel module have, such as `tc`.
    pub all: bool,
    /// Packets for each flow.
    pub packets: u32,
}

/// A flow that is in the table, and what it costs to find.
struct Replayed {
    key: KeyBuf,
    mask: KeyBuf,
    packets: u64,
}

/// Lines that are not in the table.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Left {
    pub unread: usize,
    pub elsewhere: usize,
    pub matched: usize,
}

/// Nodes of the tree that lookups have visited.
#[derive(Debug, Default)]
pub struct Visits {
    lookups: u64,
    sum: u64,
    pub most: u32,
    classes: [u64; CLASSES],
    /// Of each flow its mean, times the packets that it had in the dump; and these.
    weighted: f64,
    weight: u64,
}

impl Visits {
    pub fn mean(&self) -> f64 {
        self.sum as f64 / self.lookups.max(1) as f64
    }

    /// As the dump's packets met their flows; none if it has no numbers of packets.
    pub fn weighted_mean(&self) -> Option<f64> {
        (self.weight > 0).then(|| self.weighted / self.weight as f64)
    }

    fn add(&mut self, visits: u32) {
        self.lookups += 1;
        self.sum += u64::from(visits);
        self.most = self.most.max(visits);
        let class = visits.next_power_of_two().trailing_zeros() as usize; // CAST: at most 32
        self.classes[class.min(CLASSES - 1)] += 1;
    }
}

/// What a dump has shown.
#[derive(Debug)]
pub struct Report {
    pub flows: usize,
    pub masks: usize,
    pub left: Left,
    pub visits: Visits,
    insert: Duration,
    lookup: Duration,
}

/// Puts the flows of a dump into a table and looks for them. The error is one line that says which line is at fault, and why.
pub fn replay(text: &str, options: Options) -> Result<Report, String> {
    let table = Table::new(GFP_KERNEL).map_err(|_| "no memory".to_owned())?;
    let (mut ports, mut left, mut flows) = (Ports::default(), Left::default(), vec![]);
    let mut insert = Duration::ZERO;
    // Editors and shells of other systems put a byte order mark first.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    for (n, line) in text.lines().enumerate() {
        match add(&table, line, &mut ports, options, &mut insert) {
            Ok(Added::Flow(flow)) => flows.push(flow),
            Ok(Added::Nothing) => {}
            Ok(Added::Elsewhere) => left.elsewhere += 1,
            Ok(Added::Matched) => left.matched += 1,
            Err(_) if options.skip => left.unread += 1,
            Err(why) => {
                let line = n + 1;
                return Err(format!(
                    "line {line}: {why}; --skip (make: ARGS=--skip) leaves such lines out"
                ));
            }
        }
        run_rcu();
    }
    for _ in 0..ROUNDS {
        let mut budget = TIDY;
        while !table.tidy(&mut budget, &OvsGuard::lock(&process_context())) && budget != 0 {}
        run_rcu();
        if budget == TIDY {
            break;
        }
    }
    let (visits, lookup) = look(&table, &flows, options.packets)?;
    Ok(Report {
        flows: flows.len(),
        masks: table.n_masks(),
        left,
        visits,
        insert,
        lookup,
    })
}

enum Added {
    Flow(Box<Replayed>),
    /// No flow in this line.
    Nothing,
    /// A flow that is not in the kernel's table.
    Elsewhere,
    /// A flow whose key an earlier one matches, which the datapath refuses (spec F3).
    Matched,
}

fn add(
    table: &Table,
    line: &str,
    ports: &mut Ports,
    options: Options,
    time: &mut Duration,
) -> Result<Added, String> {
    let Some(line) = parse(line)? else {
        return Ok(Added::Nothing);
    };
    if line.layer.is_some_and(|layer| layer != "ovs") && !options.all {
        return Ok(Added::Elsewhere);
    }
    let mut parsed = FlowMatch::empty();
    read(&line, ports, &mut parsed)?;
    let no_memory = |_| "no memory".to_owned();
    let actions = Checker::new(&parsed.key, 0).finish();
    let actions = RcuBox::new(actions.map_err(|e| said(e.msg))?, GFP_KERNEL).map_err(no_memory)?;
    let new = PreparedFlow::new(&parsed.key, &parsed.mask, line.ufid, actions, GFP_KERNEL)
        .map_err(no_memory)?;
    let key = new.flow().key().try_clone(GFP_KERNEL);
    let mask = parsed.mask.key.try_clone(GFP_KERNEL);
    let ovs = OvsGuard::lock(&process_context());
    let start = Instant::now();
    match table.insert_unless_found(new, &parsed.key, &ovs) {
        Ok(Inserted::Yes(_)) => {}
        Ok(Inserted::No(..)) => return Ok(Added::Matched),
        Err(_) => return Err("the table takes no more flows like this one".into()),
    }
    *time += start.elapsed();
    Ok(Added::Flow(Box::new(Replayed {
        key: key.map_err(no_memory)?,
        mask: mask.map_err(no_memory)?,
        packets: line.packets,
    })))
}

/// A line's key and mask, as the datapath reads them.
pub fn read(line: &Line<'_>, ports: &mut Ports, out: &mut FlowMatch) -> Result<(), String> {
    let given = attributes(&line.key, ports)?;
    let nests = Bytes::new()
        .nest(flow_attr::KEY, given.key)
        .nest(flow_attr::MASK, given.mask);
    let (key, rest) = Attr::split_first(&nests.0).ok_or("no key")?;
    let (mask, _) = Attr::split_first(rest).ok_or("no mask")?;
    parse_match(&FakeNet::new(), key, Some(mask), out).map_err(|e| said(e.msg))
}

fn said(msg: Option<&std::ffi::CStr>) -> String {
    let msg = msg.map_or("refused".into(), |m| m.to_string_lossy());
    format!("the datapath says: {msg}")
}

/// Has packets for all flows find them, in an order of no meaning.
fn look(
    table: &Table,
    flows: &[Box<Replayed>],
    packets: u32,
) -> Result<(Visits, Duration), String> {
    let (mut visits, mut rng, bh) = (Visits::default(), Rng(9), BhGuard::enter());
    let mut keys = vec![];
    for flow in flows {
        let before = (visits.lookups, visits.sum);
        for _ in 0..packets.max(1) {
            let key = rng.packet(flow);
            let found = table.lookup(&key, &bh);
            if found.flow.is_none() {
                return Err(format!(
                    "a packet did not find its flow: {:?}",
                    flow.key.core()
                ));
            }
            visits.add(found.masks_probed);
            if keys.len() < 1 << 16 {
                keys.push(key);
            }
        }
        let mean = (visits.sum - before.1) as f64 / (visits.lookups - before.0) as f64;
        visits.weighted += mean * flow.packets as f64;
        visits.weight = visits.weight.saturating_add(flow.packets);
    }
    for i in (1..keys.len()).rev() {
        let other = (rng.next() >> 32) as usize % (i + 1); // CAST: 32 bits
        keys.swap(i, other);
    }
    let start = Instant::now();
    let found = keys
        .iter()
        .filter(|key| table.lookup(key, &bh).flow.is_some());
    let n = found.count();
    Ok((visits, start.elapsed() / n.max(1) as u32)) // CAST: at most 65536
}

/// xorshift64*
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// What a flow matches; what it does not match in the key's core is random.
    fn packet(&mut self, flow: &Replayed) -> FlowKey {
        let mut core = *flow.key.core();
        let words = core.as_words_mut().iter_mut();
        for (word, mask) in words.zip(flow.mask.core().as_words()) {
            *word |= self.next() & !mask;
        }
        let mut key = FlowKey::from_core(core);
        if !flow.key.is_plain() {
            *key.ext_mut() = *flow.key.ext();
            let len = usize::from(flow.key.ext().tun_opts_len);
            let r = flow.key.as_ref();
            let (near, far) = r.tun_opts(len);
            // Room in a packet's key is always there.
            let _ = key.set_tun_opts(&[near, far].concat());
        }
        key
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, n) in [
            ("lines that could not be read", self.unread),
            ("of another datapath than the kernel module", self.elsewhere),
            ("whose key an earlier flow matches", self.matched),
        ] {
            if n > 0 {
                writeln!(f, "left out   {n} {what}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flows      {}\n{}", self.flows, self.left)?;
        writeln!(f, "masks      {}", self.masks)?;
        let visits = &self.visits;
        writeln!(
            f,
            "visits     {:.2} on average, {} at most, in {} lookups",
            visits.mean(),
            visits.most,
            visits.lookups
        )?;
        if let Some(mean) = visits.weighted_mean() {
            writeln!(
                f,
                "           {mean:.2} on average over the packets that the dump counts"
            )?;
        }
        for (class, n) in visits.classes.iter().enumerate().filter(|(_, n)| **n > 0) {
            let share = *n as f64 * 100.0 / visits.lookups as f64;
            let range = match class {
                0 | 1 => format!("{}", class + 1),
                _ if class == CLASSES - 1 => format!("over {}", 1 << (class - 1)),
                _ => format!("{} to {}", (1 << (class - 1)) + 1, 1 << class),
            };
            writeln!(f, "           {share:5.1} % {range}")?;
        }
        if !cfg!(debug_assertions) {
            let each = self.insert / self.flows.max(1) as u32; // CAST: for a human
            writeln!(
                f,
                "time       {} ns a lookup, {} ns to insert a flow",
                self.lookup.as_nanos(),
                each.as_nanos()
            )?;
        }
        Ok(())
    }
}
