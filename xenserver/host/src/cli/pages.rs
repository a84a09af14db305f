// SPDX-License-Identifier: GPL-2.0
//! Man pages and completion, out of the command lines.

use crate::error::Result;
use crate::failed;
use clap_mangen::roff::{roman, Roff};
use std::fs;
use std::path::Path;

/// What a page says beside what the command line does: title of the section, text. Sentences are the manual's.
const SECTIONS: [(&str, &[(&str, &str)]); 5] = [
    (
        "interface-reconfigure",
        &[
            ("EXIT STATUS", "0: done. 1: it could not be done; files, database and addresses are as they were, unless the text says that the database has the change. 2: wrong command line."),
            ("FILES", "/usr/share/openvswitch/scripts/interface-reconfigure: the program. /var/xapi/network.dbcache: the cache. /etc/sysconfig/network-scripts/ifcfg-BRIDGE, route-BRIDGE and /etc/sysconfig/network: what ifup reads. /etc/xensource/network.conf: vswitch or openvswitch, or nothing is done. /etc/xensource-inventory: the host's UUID."),
            ("EXAMPLES", "Before xapi runs: interface-reconfigure --force xenbr0 up. A cache for a host that has none: interface-reconfigure --force xenbr0 rewrite --device=eth0 --mac=00:16:3e:00:00:01 --mode=dhcp."),
            ("NOTES", "A host that has xcp-networkd (XenServer 6.1 and later) needs no interface-reconfigure, and it refuses to work there."),
        ],
    ),
    (
        "openvswitch-cfg-update",
        &[
            ("EXIT STATUS", "0: answered, be it with an error. 2: the argument is no XML-RPC call."),
            ("ERRORS", "NO_POOL_FOR_HOST, MORE_THAN_ONE_POOL_FOR_HOST; VSWITCH_CONFIG_MOD_FAILURE [status, arguments], VSWITCH_EMER_RESET_FAILURE [status, arguments], VSWITCH_ADD_FLOW_FAILURE [status, bridge, flow]."),
            ("FILES", "/etc/sysconfig/openvswitch: MANAGER_PORT, the manager's TCP port (6640). /etc/xensource/xapi-ssl.pem: the host's key and certificate. /etc/openvswitch/vswitchd.cacert: the manager's certificate authority, learned from its first connection."),
            ("NOTES", "Where xapi brings its own openvswitch-config-update, update changes nothing."),
        ],
    ),
    (
        "openvswitch-xapi-update",
        &[
            ("EXIT STATUS", "0: done, or nothing to do. 1: it could not be done. 2: wrong command line."),
            ("FILES", "/etc/xensource-inventory, /etc/xensource/network.conf."),
        ],
    ),
    (
        "ovs-xapi-sync",
        &[
            ("DATABASE", "Of each bridge: external_ids:bridge-id, the network's other_config:nicira-bridge-id or its UUID; fail_mode and other_config:disable-in-band as the bridge comes. Of each interface: external_ids:iface-id, the VIF's other_config:nicira-iface-id or its UUID; external_ids:vm-id, the machine's nicira-vm-id or its UUID; external_ids:iface-status of vifX.Y and tapX.Y, which are one to the guest: active or inactive. A tap inherits xs-vif-uuid, xs-vm-uuid, xs-network-uuid and attached-mac from its vif."),
            ("EXIT STATUS", "0: told to exit. 1: it could not start, or runs already. 2: wrong command line."),
            ("FILES", "/var/run/xapi_init_complete.cookie: xapi is up. /var/run/openvswitch/ovs-xapi-sync.PID.ctl: its commands."),
        ],
    ),
    (
        "vif",
        &[
            ("ENVIRONMENT", "If the command line does not say which device: XENBUS_PATH, backend/vif/DOMAIN/DEVICE; of a tap INTERFACE, tapDOMAIN.DEVICE."),
            ("EXIT STATUS", "0: done. 1: it could not be done. 2: wrong command line."),
            ("FILES", "/etc/xapi.d/vif-hotplug: is run, if it is there, with -action online or remove, -vifuuid UUID and -vmuuid UUID, of a vif that has both. xenstore: /xapi/DOMAIN/private/vif/DEVICE says which bridge."),
        ],
    ),
];

pub fn man<const N: usize>(dir: &Path, commands: [clap::Command; N]) -> Result<()> {
    for command in commands {
        let name = command.get_name().to_string();
        let page = page(command).map_err(|e| failed!("cannot make the page of {name}: {e}"))?;
        write(&dir.join(format!("{name}.8")), &page)?;
    }
    Ok(())
}

pub fn page(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let name = command.get_name().to_string();
    let page = clap_mangen::Man::new(command)
        .section("8")
        .manual("Open vSwitch on XenServer")
        .source(format!("Open vSwitch {}", crate::VERSION))
        .date("");
    let mut text = Vec::new();
    page.render_title(&mut text)?;
    page.render_name_section(&mut text)?;
    page.render_synopsis_section(&mut text)?;
    page.render_description_section(&mut text)?;
    page.render_options_section(&mut text)?;
    let sections = SECTIONS
        .iter()
        .find(|(n, _)| *n == name)
        .map_or(&[][..], |(_, s)| s);
    for (title, sentences) in sections {
        let mut roff = Roff::new();
        roff.control("SH", [*title]);
        roff.text([roman(*sentences)]);
        roff.to_writer(&mut text)?;
    }
    Ok(text)
}

pub fn completion<const N: usize>(dir: &Path, commands: [clap::Command; N]) -> Result<()> {
    for mut command in commands {
        let name = command.get_name().to_string();
        let mut text = Vec::new();
        clap_complete::generate(clap_complete::Shell::Bash, &mut command, &name, &mut text);
        write(&dir.join(format!("{name}.bash")), &text)?;
    }
    Ok(())
}

fn write(path: &Path, text: &[u8]) -> Result<()> {
    fs::write(path, text).map_err(|e| failed!("cannot write {}: {e}", path.display()))
}
