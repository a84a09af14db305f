// SPDX-License-Identifier: GPL-2.0
//! The names almost every file wants.

pub use core::{
    mem::{align_of, align_of_val, size_of, size_of_val},
    pin::Pin,
};

pub use crate::{
    alloc::{flags::*, KBox, KVBox, KVVec, KVec, VBox, VVec},
    error::{code::*, Error, Result},
    module, pr_alert, pr_crit, pr_debug, pr_emerg, pr_err, pr_info, pr_notice, pr_warn,
    static_assert,
    str::CStr,
    ThisModule,
};
