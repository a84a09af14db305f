// SPDX-License-Identifier: GPL-2.0
//! A CT action of a flow: what it says, and what the tracker keeps for it.
//!
//! C counterpart: `ovs_ct_copy_action()` and `ovs_ct_free_action()` in `net/openvswitch/conntrack.c`.

use super::spec::Spec;
use crate::datapath::env::conntrack::{Template, TemplateOps};
use crate::datapath::env::{Env, Net};
use crate::datapath::error::{NlError, NlResult};
use crate::World;
use core::ffi::CStr;
use kernel::{fmt, pr_info};

/// A CT action. Dropping it gives template, helper and timeout policy back (spec A5, B22, B23).
pub struct CtAction {
    pub spec: Spec,
    pub template: Template,
}

impl CtAction {
    /// Takes what the action needs of the tracker. May sleep. `probe`: userspace is only trying, log nothing.
    ///
    /// A timeout policy that does not exist is no error, a helper is (spec C5).
    pub fn new(net: &Net, spec: Spec, probe: bool) -> NlResult<Self> {
        let mut template = Template::new(net, &spec)
            .map_err(|e| NlError::new(e, c"Failed to allocate conntrack template"))?;
        if let Some(name) = &spec.timeout {
            let name = name.as_c_str();
            if template.set_timeout(net, &spec, name).is_err() && !probe && World::log_allowed() {
                pr_info!(
                    "netlink: Failed to associated timeout policy '{}'\n",
                    Text(name)
                );
            }
        }
        if let Some(name) = &spec.helper {
            let name = name.as_c_str();
            template.add_helper(&spec, name).map_err(|e| {
                if !probe && World::log_allowed() {
                    let n = e.to_errno();
                    pr_info!("netlink: Failed to add {} helper {}\n", Text(name), n);
                }
                NlError::new(e, c"Conntrack helper cannot be used")
            })?;
        }
        template.complete(&spec);
        Ok(Self { spec, template })
    }
}

impl core::fmt::Debug for CtAction {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        core::fmt::Debug::fmt(&self.spec, f)
    }
}

/// A name from userspace, for the log, where it must not look like lines of others.
struct Text<'a>(&'a CStr);

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shows = |text: &&str| text.bytes().all(|b| b >= b' ' && b != 0x7f);
        f.write_str(self.0.to_str().ok().filter(shows).unwrap_or("?"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_makes_no_lines_in_the_log() {
        for (name, shown) in [
            (c"tftp", "tftp"),
            (c"a b", "a b"),
            (c"x\nBUG: y", "?"),
            (c"\x1b[2J", "?"),
            (c"\x7f", "?"),
            (c"\xff", "?"),
        ] {
            assert_eq!(std::format!("{}", Text(name)), shown);
        }
    }
}
