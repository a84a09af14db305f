// SPDX-License-Identifier: GPL-2.0
//! A session with the local xapi, over its Unix socket, where the peer is root and needs no password.

use crate::error::{Error, Result};
use crate::xmlrpc::{self, Value};
use crate::{debug, failed, http};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

pub struct Session {
    socket: PathBuf,
    reference: String,
    /// Made by us, and ours to end.
    owned: bool,
}

impl Session {
    /// The session that xapi handed to its plugin or its script.
    pub fn given(socket: PathBuf, reference: &str) -> Self {
        Session {
            socket,
            reference: reference.into(),
            owned: false,
        }
    }

    /// Logs in. `originator` is what xapi shows as the session's owner; hosts before 6.2 know no such argument.
    pub fn login(socket: PathBuf, originator: &str) -> Result<Self> {
        let login = |args: &[&str]| {
            let args: Vec<_> = args.iter().map(|&a| Value::from(a)).collect();
            call(&socket, "session.login_with_password", &args)
        };
        let value = match login(&["root", "", "1.3", originator]) {
            Err(e) if e.is_xapi("MESSAGE_PARAMETER_COUNT_MISMATCH") => login(&["root", ""])?,
            other => other?,
        };
        match value.as_str() {
            Some(reference) => Ok(Session {
                reference: reference.into(),
                socket,
                owned: true,
            }),
            None => Err(failed!("xapi's login returned no session")),
        }
    }

    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// Calls a method with the session as its first argument.
    pub fn call(&self, method: &str, args: &[Value]) -> Result<Value> {
        let mut all = vec![Value::from(self.reference.as_str())];
        all.extend_from_slice(args);
        call(&self.socket, method, &all)
    }

    pub fn string(&self, method: &str, args: &[Value]) -> Result<String> {
        match self.call(method, args)? {
            Value::String(s) => Ok(s),
            _ => Err(failed!("xapi: {method} returned no string")),
        }
    }

    /// The record with that UUID; none if xapi knows no such.
    pub fn by_uuid(&self, class: &str, uuid: &str) -> Result<Option<Value>> {
        let found = self.call(&format!("{class}.get_by_uuid"), &[uuid.into()]);
        let reference = match found {
            Err(e) if e.is_xapi("UUID_INVALID") => return Ok(None),
            other => other?,
        };
        match self.call(&format!("{class}.get_record"), &[reference]) {
            // Gone between the two calls.
            Err(e) if e.is_xapi("HANDLE_INVALID") => Ok(None),
            other => other.map(Some),
        }
    }

    /// All records of a class, by reference. None if xapi does not know the class: an old host.
    pub fn records(&self, class: &str) -> Result<BTreeMap<String, Value>> {
        match self.call(&format!("{class}.get_all_records"), &[]) {
            Ok(Value::Struct(records)) => Ok(records),
            Ok(_) => Err(failed!("xapi: {class}.get_all_records returned no records")),
            Err(e) if e.is_xapi("MESSAGE_METHOD_UNKNOWN") => Ok(BTreeMap::new()),
            Err(e) => Err(e),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if self.owned {
            // xapi ends sessions that nobody uses by itself.
            let _ = self.call("session.logout", &[]);
        }
    }
}

fn call(socket: &std::path::Path, method: &str, args: &[Value]) -> Result<Value> {
    debug!("xapi: {method}");
    let answer = http::post(socket, &xmlrpc::call(method, args), LIMIT)?;
    unwrap(method, xmlrpc::parse_response(&answer)?)
}

/// The XenAPI's own envelope: {Status: Success, Value} or {Status: Failure, ErrorDescription}.
fn unwrap(method: &str, answer: Value) -> Result<Value> {
    let Value::Struct(mut fields) = answer else {
        return Err(failed!("xapi: {method} returned no struct"));
    };
    match fields.get("Status").and_then(Value::as_str) {
        Some("Success") => Ok(fields.remove("Value").unwrap_or(Value::Nil)),
        Some("Failure") => {
            let error = fields
                .get("ErrorDescription")
                .and_then(Value::as_array)
                .unwrap_or(&[]);
            Err(Error::Xapi(
                error
                    .iter()
                    .filter_map(Value::as_str)
                    .map(String::from)
                    .collect(),
            ))
        }
        _ => Err(failed!("xapi: {method} returned no status")),
    }
}
