// SPDX-License-Identifier: GPL-2.0
//! What tests may ask of the shim: failing allocations, leak counts, grace periods, log lines, locks.

pub mod alloc;
mod lock;
pub mod log;
#[cfg_attr(loom, path = "rcu_loom.rs")]
pub mod rcu;

pub use lock::RawMutex;

#[cfg(test)]
mod tests {
    use crate::prelude::*;

    #[test]
    fn log_lines_and_warnings_are_kept() {
        super::log::take();
        pr_info!("{} of {}\n", 1, 2);
        pr_err!("{}", "x".repeat(400));
        assert!(!crate::warn_on!(1 > 2));
        assert!(crate::warn_on!(2 > 1));
        let log = super::log::take();
        assert_eq!(log[0], (6, "kernel: 1 of 2\n".into()));
        assert_eq!(log[1].0, 3);
        assert_eq!(log[1].1.len(), "kernel: ".len() + 255);
        assert!(log[2].1.contains("WARN_ON"));
        assert_eq!(super::log::take_warnings(), 1);
    }

    #[test]
    fn nth_allocation_fails_and_accounts_balance() {
        use super::alloc::{each_failure, fail_nth, live};
        let before = live();
        fail_nth(2);
        let first = KBox::new(1u8, GFP_KERNEL);
        assert!(first.is_ok());
        assert!(KBox::new(2u8, GFP_KERNEL).is_err());
        assert!(KBox::new(3u8, GFP_KERNEL).is_ok());
        assert_eq!(live(), before + 1);
        drop(first);
        let runs = each_failure(|| -> Result<KVec<u8>> {
            let mut v = KVec::new();
            v.push(1, GFP_KERNEL)?;
            v.reserve(100, GFP_KERNEL)?;
            Ok(v)
        });
        assert_eq!((runs, live()), (2, before));
    }
}
