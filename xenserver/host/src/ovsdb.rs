// SPDX-License-Identifier: GPL-2.0
//! A client of ovsdb-server (RFC 7047) over its Unix socket: a copy of some columns that is kept up to date, and
//! transactions that change a row's map without touching what others put there.

use crate::vsctl::map;
use serde_json::{json, Value as Json};
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

const DATABASE: &str = "Open_vSwitch";

/// A row of Bridge or Interface: the columns that are watched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row {
    pub name: String,
    pub external_ids: BTreeMap<String, String>,
    pub other_config: BTreeMap<String, String>,
    pub fail_mode: Option<String>,
}

/// Rows by their UUID.
pub type Table = BTreeMap<String, Row>;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Copy {
    pub bridges: Table,
    pub interfaces: Table,
}

impl Copy {
    /// Brings the copy up to date with a monitor's `<table-updates>` (RFC 7047, 4.1.6). What it cannot read it skips.
    pub fn update(&mut self, updates: &Json) {
        for (name, table) in [
            ("Bridge", &mut self.bridges),
            ("Interface", &mut self.interfaces),
        ] {
            let rows = updates
                .get(name)
                .and_then(Json::as_object)
                .into_iter()
                .flatten();
            for (uuid, change) in rows {
                match change.get("new") {
                    Some(new) => {
                        table.insert(uuid.clone(), row(new));
                    }
                    None => {
                        table.remove(uuid);
                    }
                }
            }
        }
    }
}

fn row(json: &Json) -> Row {
    let text = |column: &str| json.get(column).and_then(Json::as_str).map(String::from);
    let ids = |column: &str| json.get(column).map(map).unwrap_or_default();
    Row {
        name: text("name").unwrap_or_default(),
        external_ids: ids("external_ids"),
        other_config: ids("other_config"),
        fail_mode: text("fail_mode"),
    }
}

/// A change to one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Sets a key of a column of type map, or removes it.
    Key {
        table: &'static str,
        row: String,
        column: &'static str,
        key: String,
        value: Option<String>,
    },
    FailMode {
        row: String,
        mode: &'static str,
    },
}

impl Change {
    fn operation(&self) -> Json {
        let find = |row: &str| json!([["_uuid", "==", ["uuid", row]]]);
        match self {
            Change::Key {
                table,
                row,
                column,
                key,
                value,
            } => {
                let mut mutations = vec![json!([column, "delete", ["set", [key]]])];
                if let Some(value) = value {
                    mutations.push(json!([column, "insert", ["map", [[key, value]]]]));
                }
                json!({"op": "mutate", "table": table, "where": find(row), "mutations": mutations})
            }
            Change::FailMode { row, mode } => {
                json!({"op": "update", "table": "Bridge", "where": find(row), "row": {"fail_mode": mode}})
            }
        }
    }
}

pub const MONITOR: u64 = 1;

pub struct Connection {
    stream: UnixStream,
    last_id: u64,
}

impl Connection {
    /// Connects and asks for the copy: its first contents come as the answer with the ID `MONITOR`. The second half is
    /// for whoever reads.
    pub fn open(socket: &Path) -> std::io::Result<(Connection, BufReader<UnixStream>)> {
        let stream = UnixStream::connect(socket)?;
        stream.set_write_timeout(Some(Duration::from_secs(10)))?;
        let reader = BufReader::new(stream.try_clone()?);
        let mut connection = Connection {
            stream,
            last_id: MONITOR,
        };
        let tables = json!({
            "Bridge": {"columns": ["name", "external_ids", "other_config", "fail_mode"]},
            "Interface": {"columns": ["name", "external_ids"]},
        });
        connection.send(
            &json!({"method": "monitor", "id": MONITOR, "params": [DATABASE, null, tables]}),
        )?;
        Ok((connection, reader))
    }

    fn send(&mut self, message: &Json) -> std::io::Result<()> {
        self.stream.write_all(message.to_string().as_bytes())
    }

    /// Answers the server's question whether we are there.
    pub fn echo(&mut self, request: &Json) -> std::io::Result<()> {
        self.send(&json!({"id": request["id"], "result": request["params"], "error": null}))
    }

    /// Sends changes as one transaction; returns the ID of the answer.
    pub fn transact(&mut self, changes: &[Change], comment: &str) -> std::io::Result<u64> {
        let mut params = vec![json!(DATABASE)];
        params.extend(changes.iter().map(Change::operation));
        params.push(json!({"op": "comment", "comment": comment}));
        self.last_id += 1;
        self.send(&json!({"method": "transact", "id": self.last_id, "params": params}))?;
        Ok(self.last_id)
    }

    pub fn close(&self) {
        // It may be closed already.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

/// The reason why a transaction was not carried out, out of its answer.
pub fn transaction_error(answer: &Json) -> Option<String> {
    if !answer["error"].is_null() {
        return Some(answer["error"].to_string());
    }
    let failed = answer["result"]
        .as_array()?
        .iter()
        .find(|r| r.get("error").is_some())?;
    Some(failed.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_follows_updates() {
        let mut copy = Copy::default();
        copy.update(&json!({
            "Bridge": {"u1": {"new": {"name": "b", "fail_mode": ["set", []],
                "external_ids": ["map", [["a", "1"]]], "other_config": ["map", []]}}},
            "Interface": {"u2": {"new": {"name": "i", "external_ids": ["map", []]}}, "u3": {"new": {}}},
        }));
        assert_eq!(copy.bridges["u1"].external_ids["a"], "1");
        assert_eq!(copy.bridges["u1"].fail_mode, None);
        copy.update(&json!({
            "Bridge": {"u1": {"old": {"fail_mode": ["set", []]}, "new": {"name": "b", "fail_mode": "secure"}}},
            "Interface": {"u2": {"old": {"name": "i"}}},
            "Port": 5,
        }));
        assert_eq!(copy.bridges["u1"].fail_mode.as_deref(), Some("secure"));
        assert_eq!(copy.interfaces.keys().collect::<Vec<_>>(), ["u3"]);
        for odd in [
            json!(null),
            json!([]),
            json!({"Bridge": []}),
            json!({"Bridge": {"u1": 1}}),
        ] {
            copy.update(&odd);
        }
    }

    #[test]
    fn a_key_is_replaced_without_touching_the_others() {
        let change = Change::Key {
            table: "Interface",
            row: "u".into(),
            column: "external_ids",
            key: "iface-id".into(),
            value: Some("x".into()),
        };
        let want = json!({"op": "mutate", "table": "Interface", "where": [["_uuid", "==", ["uuid", "u"]]],
            "mutations": [["external_ids", "delete", ["set", ["iface-id"]]],
                ["external_ids", "insert", ["map", [["iface-id", "x"]]]]]});
        assert_eq!(change.operation(), want);
    }

    #[test]
    fn errors_of_transactions_are_found_wherever_they_stand() {
        assert_eq!(
            transaction_error(&json!({"error": null, "result": [{}, {"count": 1}]})),
            None
        );
        for bad in [
            json!({"error": "syntax", "result": null}),
            json!({"error": null, "result": [{}, null, {"error": "constraint violation"}]}),
        ] {
            assert!(transaction_error(&bad).is_some());
        }
    }
}
