// SPDX-License-Identifier: GPL-2.0
//! What requests do: prepare (validate, allocate), commit (under `ovs_mutex`), notify. One file a family.

use crate::datapath::datapath::Datapath;
use crate::datapath::env::{Group, Reply};
use crate::rust::sync::OvsCell;
use kernel::alloc::KVec;
use kernel::error::Error;
use kernel::sync::Arc;

/// The switch's state in a network namespace (spec X9).
pub struct PerNet {
    /// Its datapaths in creation order (spec D7).
    pub dps: OvsCell<KVec<Arc<Datapath>>>,
}

/// What a committed request has to tell; sent by the caller after all locks are gone (spec N9).
pub enum Outcome {
    /// Only the acknowledgement.
    Done,
    /// To the requester.
    Reply(Reply),
    /// To the family's group, and to the requester if it set NLM_F_ECHO.
    Notify(Group, Reply),
    /// The change was made but its message could not be built: a socket error for the group (spec F9).
    Lost(Group, Error),
}
