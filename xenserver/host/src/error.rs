// SPDX-License-Identifier: GPL-2.0
//! The error of all tools: one line for people, and the exit status that goes with it.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The tool was called wrongly: exit status 2.
    Usage(String),
    /// It was called rightly and could not do it: exit status 1.
    Failed(String),
    /// xapi said no: its error code and parameters.
    Xapi(Vec<String>),
    /// xapi gave no answer: asking it for something else will not do any better.
    Unreachable(String),
}

pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub fn exit_status(&self) -> u8 {
        match self {
            Error::Usage(_) => 2,
            Error::Failed(_) | Error::Xapi(_) | Error::Unreachable(_) => 1,
        }
    }

    /// Whether this is xapi's error of that code, such as `SESSION_INVALID`.
    pub fn is_xapi(&self, code: &str) -> bool {
        matches!(self, Error::Xapi(e) if e.first().is_some_and(|c| c == code))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self {
            Error::Usage(text) | Error::Failed(text) | Error::Unreachable(text) => text.clone(),
            Error::Xapi(error) => format!("xapi refused: {}", error.join(" ")),
        };
        f.write_str(&one_line(&text))
    }
}

impl std::error::Error for Error {}

/// The text with everything that would break the line replaced.
pub fn one_line(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().collect();
    words.join(" ").replace(|c: char| c.is_control(), "?")
}

/// An operational error with a formatted text.
#[macro_export]
macro_rules! failed {
    ($($arg:tt)*) => { $crate::error::Error::Failed(format!($($arg)*)) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_line_whatever_it_quotes() {
        let e = Error::Failed("a\nb\u{1b}[1m  c\r\n".into());
        assert_eq!(e.to_string(), "a b?[1m c");
    }
}
