// SPDX-License-Identifier: GPL-2.0
//! Entry and exit of a module: `module!`. C counterpart: `include/linux/module.h`, `include/linux/init.h`.

use core::ffi::c_void;

/// What a module is while it is loaded; its exit is the value's `Drop`.
pub trait Module: Sized + Sync + Send {
    /// Called when the module is loaded, with no lock held. An error refuses the module.
    fn init(module: &'static ThisModule) -> crate::error::Result<Self>;
}

/// C's `THIS_MODULE`.
pub struct ThisModule(*mut c_void);

// SAFETY: C's functions that take it may be called on any thread.
unsafe impl Sync for ThisModule {}

impl ThisModule {
    /// Wraps C's pointer.
    ///
    /// # Safety
    ///
    /// It is this module's `struct module`.
    pub const unsafe fn from_ptr(ptr: *mut c_void) -> Self {
        Self(ptr)
    }

    /// C's pointer.
    pub const fn as_ptr(&self) -> *mut c_void {
        self.0
    }
}

/// Declares the module of a crate, at its root: what upstream's macro makes for a loadable module.
///
/// As C's `module_init()` and `module_exit()` do it, too: the kernel calls both functions through a structure made by C, which
/// neither LLVM nor objtool sees. Without a reference from a section that is kept there would be no ENDBR, or it would be
/// sealed away.
#[macro_export]
macro_rules! module {
    (type: $type:ty, name: $name:literal, authors: [$($author:literal),+ $(,)?], description: $description:literal,
     license: $license:literal $(,)?) => {
        /// What the kernel prints before each log line.
        const __LOG_PREFIX: &[u8] = ::core::concat!($name, "\0").as_bytes();

        #[doc(hidden)]
        mod __module_init {
            use super::*;
            use ::core::{ffi::c_int, mem::MaybeUninit};

            $($crate::modinfo!("author", $author);)+
            $crate::modinfo!("description", $description);
            $crate::modinfo!("license", $license);

            /// The module between entry and exit.
            static mut MODULE: MaybeUninit<$type> = MaybeUninit::uninit();

            extern "C" {
                static mut __this_module: ::core::ffi::c_void;
            }
            // SAFETY: what Kbuild makes for this very module.
            static THIS_MODULE: $crate::ThisModule = unsafe { $crate::ThisModule::from_ptr(&raw mut __this_module) };

            /// # Safety
            ///
            /// Called once by the kernel's module loader.
            #[no_mangle]
            #[link_section = ".init.text"]
            unsafe extern "C" fn init_module() -> c_int {
                match <$type as $crate::Module>::init(&THIS_MODULE) {
                    Ok(module) => {
                        // SAFETY: nobody else touches it before `cleanup_module`.
                        unsafe { (*&raw mut MODULE).write(module) };
                        0
                    }
                    Err(e) => e.to_errno(),
                }
            }

            /// # Safety
            ///
            /// Called once by the kernel's module loader, after [`init_module`] has returned 0.
            #[no_mangle]
            #[link_section = ".exit.text"]
            unsafe extern "C" fn cleanup_module() {
                // SAFETY: written by `init_module`, and nobody else touches it.
                unsafe { (*&raw mut MODULE).assume_init_drop() };
            }

            #[used(compiler)]
            #[link_section = ".init.data"]
            static INIT: unsafe extern "C" fn() -> c_int = init_module;
            #[used(compiler)]
            #[link_section = ".exit.data"]
            static EXIT: unsafe extern "C" fn() = cleanup_module;
        }
    };
}

/// One line of `.modinfo`.
#[doc(hidden)]
#[macro_export]
macro_rules! modinfo {
    ($key:literal, $value:literal) => {
        const _: () = {
            const LINE: &str = ::core::concat!($key, "=", $value, "\0");
            #[used(compiler)]
            #[link_section = ".modinfo"]
            // PANIC: while it is compiled, and never: the length is the line's own.
            static INFO: [u8; LINE.len()] = *LINE.as_bytes().first_chunk().unwrap();
        };
    };
}
