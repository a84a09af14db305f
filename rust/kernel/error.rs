// SPDX-License-Identifier: GPL-2.0
//! Kernel errors. C counterpart: `include/uapi/asm-generic/errno*.h`.

use crate::alloc::AllocError;
use core::{fmt, num::NonZeroI32};

/// A negative errno.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Error(NonZeroI32);

/// `Ok` or an errno.
pub type Result<T = (), E = Error> = core::result::Result<T, E>;

const MAX_ERRNO: i32 = 4095;

/// Errno constants.
pub mod code {
    macro_rules! declare {
        ($($name:ident $value:literal $doc:literal)*) => {
            $(
                #[doc = $doc]
                pub const $name: super::Error = super::Error::from_const(-$value);
            )*
            /// Names for `Debug`.
            pub(super) const NAMES: &[(i32, &str)] = &[$(($value, stringify!($name)),)*];
        };
    }
    declare! {
        EPERM 1 "Operation not permitted."
        ENOENT 2 "No such file or directory."
        EINTR 4 "Interrupted system call."
        EIO 5 "I/O error."
        ENXIO 6 "No such device or address."
        E2BIG 7 "Argument list too long."
        EBADF 9 "Bad file number."
        EAGAIN 11 "Try again."
        ENOMEM 12 "Out of memory."
        EACCES 13 "Permission denied."
        EFAULT 14 "Bad address."
        EBUSY 16 "Device or resource busy."
        EEXIST 17 "File exists."
        ENODEV 19 "No such device."
        EINVAL 22 "Invalid argument."
        ENFILE 23 "File table overflow."
        EFBIG 27 "File too large."
        ENOSPC 28 "No space left on device."
        EPIPE 32 "Broken pipe."
        EDOM 33 "Math argument out of domain of func."
        ERANGE 34 "Math result not representable."
        ENAMETOOLONG 36 "File name too long."
        ENOSYS 38 "Invalid system call number."
        ELOOP 40 "Too many symbolic links encountered."
        ENODATA 61 "No data available."
        EPROTO 71 "Protocol error."
        EBADMSG 74 "Not a data message."
        EOVERFLOW 75 "Value too large for defined data type."
        EMSGSIZE 90 "Message too long."
        EPROTONOSUPPORT 93 "Protocol not supported."
        EOPNOTSUPP 95 "Operation not supported on transport endpoint."
        EPFNOSUPPORT 96 "Protocol family not supported."
        EAFNOSUPPORT 97 "Address family not supported by protocol."
        EADDRINUSE 98 "Address already in use."
        ENETDOWN 100 "Network is down."
        ENETUNREACH 101 "Network is unreachable."
        ENOBUFS 105 "No buffer space available."
        ENOTCONN 107 "Transport endpoint is not connected."
        ETIMEDOUT 110 "Connection timed out."
        ECONNREFUSED 111 "Connection refused."
        EALREADY 114 "Operation already in progress."
        EINPROGRESS 115 "Operation now in progress."
        ERESTARTSYS 512 "Restart the system call."
        ENOTSUPP 524 "Operation is not supported."
    }
}

impl Error {
    const fn from_const(errno: i32) -> Self {
        match NonZeroI32::new(errno) {
            Some(n) => Self(n),
            None => panic!("errno 0"),
        }
    }

    /// From a negative errno; anything out of range becomes `EINVAL`.
    pub fn from_errno(errno: i32) -> Error {
        match NonZeroI32::new(errno) {
            Some(n) if (-MAX_ERRNO..0).contains(&errno) => Error(n),
            _ => code::EINVAL,
        }
    }

    /// The negative errno.
    #[inline]
    pub fn to_errno(self) -> i32 {
        self.0.get()
    }
}

/// `Ok` unless `err` is negative.
#[inline]
pub fn to_result(err: i32) -> Result {
    if err < 0 {
        Err(Error::from_errno(err))
    } else {
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let n = self.0.get().wrapping_neg();
        match code::NAMES.iter().find(|(v, _)| *v == n) {
            Some((_, name)) => f.write_str(name),
            None => f.debug_tuple("Error").field(&self.0).finish(),
        }
    }
}

impl From<AllocError> for Error {
    fn from(_: AllocError) -> Error {
        code::ENOMEM
    }
}

impl From<core::num::TryFromIntError> for Error {
    fn from(_: core::num::TryFromIntError) -> Error {
        code::EINVAL
    }
}

impl From<core::str::Utf8Error> for Error {
    fn from(_: core::str::Utf8Error) -> Error {
        code::EINVAL
    }
}

impl From<core::alloc::LayoutError> for Error {
    fn from(_: core::alloc::LayoutError) -> Error {
        code::ENOMEM
    }
}

impl From<fmt::Error> for Error {
    fn from(_: fmt::Error) -> Error {
        code::EINVAL
    }
}
