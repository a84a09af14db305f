// SPDX-License-Identifier: GPL-2.0
//! Stories: what the switch does, told from outside, one behaviour a file. Names cite the items of the specification.

mod act_kit;
mod flow_kit;
mod kit;

mod act_length_ttl;
mod act_mpls;
mod act_nested;
mod act_nsh;
mod act_output;
mod act_psample;
mod act_recirc;
mod act_straight;
mod act_tunnel;
mod bad_input;
mod bug_classes;
mod churn;
mod ct_limit;
mod dp_create;
mod dp_delete;
mod dp_describe;
mod dp_features;
mod dp_find;
mod execute;
mod flow_change;
mod flow_dump;
mod flow_new;
mod flow_packets;
mod memory;
mod meters;
mod namespaces;
mod random_requests;
mod rebalance;
mod stacked_devices;
mod trace;
mod tunnel_keys;
mod upcall_message;
mod upcall_miss;
mod vport_create;
mod vport_describe;
mod vport_device_gone;
mod vport_find;
mod vport_headroom;
mod vport_set_delete;
mod vport_tunnel;
mod whole_switch;
