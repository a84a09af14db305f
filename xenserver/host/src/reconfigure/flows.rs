// SPDX-License-Identifier: GPL-2.0
//! The flows that keep a host reachable whose management interface is on a bridge in fail mode secure. Such a bridge drops
//! everything until a controller has said something, and ovs-vswitchd empties its table when it becomes secure.

use crate::command::{self, words};
use crate::failed;
use crate::host::Host;
use crate::vsctl::{Vsctl, SHORT};
use std::time::Duration;

/// ARP and IP in both directions between the cards' OpenFlow ports and the host. Out of a bond, the bond chooses.
pub fn default_flows(mac: &str, ports: &[u32]) -> Vec<String> {
    let flow = |rest: String| format!("idle_timeout=0,priority=0,{rest}");
    let out = match ports {
        [port] => port.to_string(),
        _ => "NORMAL".to_string(),
    };
    let mut flows = Vec::new();
    for port in ports {
        flows.push(flow(format!("in_port={port},arp,nw_proto=1,actions=local")));
        flows.push(flow(format!("in_port={port},dl_dst={mac},actions=local")));
    }
    flows.push(flow(format!(
        "in_port=local,arp,dl_src={mac},actions={out}"
    )));
    flows.push(flow(format!("in_port=local,dl_src={mac},actions={out}")));
    flows
}

/// Puts those flows on a bridge, unless it has others: then a controller is there, and it is the one to say. What decides is
/// what is in the table, not what was changed just now: an attempt that failed half-way is made good by the next one.
pub fn keep_reachable(
    host: &Host,
    vsctl: &Vsctl<'_>,
    bridge: &str,
    mac: &str,
    cards: &[&str],
) -> Result<(), FlowError> {
    let fail = |code, flow: &str| FlowError {
        code,
        bridge: bridge.into(),
        flow: flow.into(),
    };
    let ports = vsctl.ofports(cards).map_err(|f| fail(f.code, ""))?;
    let ports: Vec<u32> = ports.into_iter().flatten().collect();
    if ports.is_empty() {
        return Err(fail(0, "no OpenFlow port yet"));
    }
    let program = host.tool("ovs-ofctl").map_err(|_| fail(127, ""))?;
    let ofctl = |args: &str| {
        let all = words(&format!("--timeout={SHORT} {args}"));
        let limit = Duration::from_secs(u64::from(SHORT) + 2);
        match command::capture(&program, &all, limit) {
            Ok(out) if out.status.success() => Ok(out.stdout),
            Ok(out) => Err(fail(out.code(), args)),
            Err(_) => Err(fail(-1, args)),
        }
    };
    let wanted = default_flows(mac, &ports);
    let dump = ofctl(&format!("dump-flows {bridge}"))?;
    if table(&dump, mac, &ports, wanted.len()) == Table::Incomplete {
        for flow in &wanted {
            ofctl(&format!("add-flow {bridge} {flow}"))?;
        }
    }
    Ok(())
}

#[derive(Debug, PartialEq, Eq)]
enum Table {
    /// As many of our flows as there are to be, and nothing else.
    Ours,
    /// Fewer, or of other ports, and nothing else.
    Incomplete,
    /// Somebody has put flows there.
    Others,
}

/// What `ovs-ofctl dump-flows` shows.
fn table(dump: &str, mac: &str, ports: &[u32], wanted: usize) -> Table {
    let mac = mac.to_lowercase();
    let flows: Vec<_> = dump.lines().filter(|l| l.contains("actions=")).collect();
    // ovs-ofctl prints ARP's operation, nw_proto in an OpenFlow match, as arp_op.
    let ours = |line: &&&str| {
        let line = line.to_lowercase();
        line.contains("priority=0,")
            && line.contains("in_port=")
            && (line.contains(&mac) || line.contains("arp_op=1"))
    };
    let has = |port: &u32| {
        flows
            .iter()
            .any(|l| l.contains(&format!("in_port={port},")))
    };
    match flows.iter().filter(ours).count() {
        ours if ours < flows.len() => Table::Others,
        ours if ours < wanted || !ports.iter().all(has) => Table::Incomplete,
        _ => Table::Ours,
    }
}

/// A default flow that could not be added.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowError {
    pub code: i32,
    pub bridge: String,
    pub flow: String,
}

impl From<FlowError> for crate::error::Error {
    fn from(e: FlowError) -> Self {
        failed!(
            "cannot add the flow that keeps {} reachable: status {}, {}",
            e.bridge,
            e.code,
            e.flow
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: &str = "00:16:3E:00:00:a2";

    #[test]
    fn default_flows_of_a_card_and_of_a_bond() {
        let one = default_flows("00:16:3e:00:00:a2", &[5]);
        assert_eq!(
            one,
            [
                "idle_timeout=0,priority=0,in_port=5,arp,nw_proto=1,actions=local",
                "idle_timeout=0,priority=0,in_port=5,dl_dst=00:16:3e:00:00:a2,actions=local",
                "idle_timeout=0,priority=0,in_port=local,arp,dl_src=00:16:3e:00:00:a2,actions=5",
                "idle_timeout=0,priority=0,in_port=local,dl_src=00:16:3e:00:00:a2,actions=5",
            ]
        );
        let bond = default_flows("00:16:3e:00:00:a0", &[1, 2]);
        assert_eq!(bond.len(), 6);
        assert_eq!(
            bond.iter()
                .filter(|f| f.ends_with("actions=NORMAL"))
                .count(),
            2
        );
    }

    #[test]
    fn a_table_is_ours_to_fill_until_somebody_else_has_flows_in_it() {
        let ours = [
            " cookie=0x0, n_bytes=0, priority=0,arp,in_port=1,arp_op=1 actions=LOCAL",
            " cookie=0x0, priority=0,in_port=1,dl_dst=00:16:3e:00:00:a2 actions=LOCAL",
            " cookie=0x0, priority=0,arp,in_port=LOCAL,dl_src=00:16:3e:00:00:a2 actions=output:1",
            " cookie=0x0, priority=0,in_port=LOCAL,dl_src=00:16:3e:00:00:a2 actions=output:1",
        ];
        let head = "NXST_FLOW reply (xid=0x4):";
        let dump = |flows: &[&str]| table(&format!("{head}\n{}", flows.join("\n")), MAC, &[1], 4);
        assert_eq!(dump(&[]), Table::Incomplete);
        assert_eq!(dump(&ours[..3]), Table::Incomplete);
        assert_eq!(dump(&ours), Table::Ours);
        let moved = table(&ours.join("\n"), MAC, &[11], 4);
        assert_eq!(moved, Table::Incomplete, "the card has another port now");
        for other in [
            " cookie=0x0, priority=0 actions=CONTROLLER:65535",
            " cookie=0x0, priority=0 actions=NORMAL",
            " cookie=0x0, priority=100,in_port=1,dl_dst=00:16:3e:00:00:a2 actions=drop",
            " cookie=0x0, actions=NORMAL",
        ] {
            assert_eq!(dump(&[other]), Table::Others, "{other}");
            assert_eq!(dump(&[ours[0], other]), Table::Others, "{other}");
        }
    }
}
