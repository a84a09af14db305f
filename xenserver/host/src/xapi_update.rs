// SPDX-License-Identifier: GPL-2.0
//! openvswitch-xapi-update: has xapi run the plugin on this host after a boot. On hosts of a pool that are not its master,
//! and after upgrades, xapi itself may not have.

use crate::command;
use crate::error::Result;
use crate::failed;
use crate::host::{Backend, Host, NETWORK_CONF};
use std::time::Duration;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    Start,
    Stop,
    Restart,
}

pub fn run(host: &Host, verb: Verb) -> Result<()> {
    if verb == Verb::Stop {
        return Ok(());
    }
    let uuid = host.installation_uuid()?;
    // A host that has no such file yet is made with Open vSwitch.
    if host.exists(NETWORK_CONF) && host.backend()? == Backend::Bridge {
        return Ok(());
    }
    let args = [
        "host-call-plugin".to_string(),
        format!("host-uuid={uuid}"),
        "plugin=openvswitch-cfg-update".into(),
        "fn=update".into(),
    ];
    let out = command::capture(&host.tool("xe")?, &args, Duration::from_secs(120))?;
    match out.status.success() {
        true => Ok(()),
        false => Err(failed!("xe host-call-plugin failed: {}", out.stderr)),
    }
}
