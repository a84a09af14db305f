// SPDX-License-Identifier: GPL-2.0
//! ovs-vsctl: transactions, and the few questions that are put to the database. Every call has a time limit, also the
//! questions: with ovsdb-server hanging, a call without one hangs whoever called us.

use crate::command::{self, words};
use crate::error::{one_line, Error};
use crate::host::Host;
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds for what must not hold up xapi's start.
pub const SHORT: u32 = 5;
/// Seconds for a transaction that ovs-vswitchd has to act on before its end.
pub const LONG: u32 = 20;
/// The exit status of an ovs-vsctl that SIGALRM ended.
const TIMEOUT: i32 = 128 + 14;

/// Commands of one transaction: all of them happen, or none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction(Vec<Vec<String>>);

impl Transaction {
    pub fn new() -> Self {
        Transaction::default()
    }

    /// Adds a command out of words. Nothing in it may contain a blank.
    pub fn add(&mut self, text: impl AsRef<str>) {
        self.0.push(words(text.as_ref()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn arguments(&self) -> Vec<String> {
        let mut all = Vec::new();
        for command in &self.0 {
            all.push("--".to_string());
            all.extend_from_slice(command);
        }
        all
    }

    /// One command a line.
    pub fn text(&self) -> String {
        self.0.iter().map(|c| c.join(" ") + "\n").collect()
    }
}

/// A string in ovs-vsctl's notation of values: in double quotes, whatever is in it.
pub fn quoted(text: &str) -> String {
    Json::from(text).to_string()
}

/// What a call that failed was, as xapi's errors tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: i32,
    pub arguments: String,
    pub reason: String,
}

impl From<Failure> for Error {
    fn from(f: Failure) -> Error {
        let code = if f.code > 0 {
            format!(" with status {}", f.code)
        } else {
            String::new()
        };
        Error::Failed(format!(
            "ovs-vsctl failed{code}: {} ({})",
            f.reason, f.arguments
        ))
    }
}

/// How far a transaction got. Both are in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// ovs-vswitchd has acted on it.
    Acted,
    /// It has not, within the time limit: most likely it does not run. It will when it does.
    Recorded,
}

impl Done {
    pub fn and(self, other: Done) -> Done {
        match self {
            Done::Acted => other,
            Done::Recorded => self,
        }
    }

    /// What is to be told of it.
    pub fn note(self) -> Option<&'static str> {
        match self {
            Done::Acted => None,
            Done::Recorded => Some(
                "the database has the change, ovs-vswitchd has not acted on it yet; does it run?",
            ),
        }
    }
}

/// A row of the Bridge table: a bridge of its own, none that is a VLAN of another.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BridgeRow {
    pub name: String,
    pub fail_mode: Option<String>,
    pub other_config: BTreeMap<String, String>,
}

pub struct Vsctl<'a> {
    host: &'a Host,
}

impl<'a> Vsctl<'a> {
    pub fn new(host: &'a Host) -> Self {
        Vsctl { host }
    }

    /// Runs `ovs-vsctl --timeout=SECONDS -vconsole:off ARGUMENTS…`, returns what it prints.
    fn call(&self, seconds: u32, arguments: &[String]) -> Result<String, Failure> {
        let mut all = vec![format!("--timeout={seconds}"), "-vconsole:off".to_string()];
        all.extend_from_slice(arguments);
        let fail = |code, reason: String| Failure {
            code,
            arguments: all.join(" "),
            reason: one_line(&reason),
        };
        // Its own alarm comes first; ours is for when it is stopped or stuck.
        let limit = Duration::from_secs(u64::from(seconds) + 2);
        let program = self
            .host
            .tool("ovs-vsctl")
            .map_err(|e| fail(-1, e.to_string()))?;
        let out = command::capture(&program, &all, limit).map_err(|e| fail(-1, e.to_string()))?;
        match out.status.success() {
            true => Ok(out.stdout),
            // ovs-vsctl ends itself by SIGALRM.
            false if out.code() == TIMEOUT => Err(fail(
                TIMEOUT,
                format!("no answer within {seconds} seconds; does ovsdb-server run?"),
            )),
            false => Err(fail(out.code(), out.stderr)),
        }
    }

    pub fn query(&self, arguments: &str) -> Result<String, Failure> {
        self.call(SHORT, &words(arguments))
    }

    /// Carries out a transaction, and waits until ovs-vswitchd has acted on it or the time is over. ovs-vsctl's timeout
    /// alone does not say whether the transaction was carried out: the database is asked.
    pub fn modify(&self, seconds: u32, transaction: &Transaction) -> Result<Done, Failure> {
        if transaction.is_empty() {
            return Ok(Done::Acted);
        }
        match self.call(seconds, &transaction.arguments()) {
            Ok(_) => Ok(Done::Acted),
            Err(failure) if failure.code == TIMEOUT && self.is_behind() => Ok(Done::Recorded),
            Err(failure) => Err(failure),
        }
    }

    /// Whether the database has changes that ovs-vswitchd has not acted on (its schema: cur_cfg follows next_cfg).
    fn is_behind(&self) -> bool {
        let text = self.query("--no-wait get Open_vSwitch . next_cfg cur_cfg");
        let text = text.unwrap_or_default();
        let numbers: Vec<i64> = text
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        matches!(numbers[..], [next, current] if next > current)
    }

    fn table(&self, arguments: &str) -> Result<Vec<Vec<Json>>, Failure> {
        let text = self.query(&format!("--format=json {arguments}"))?;
        let rows = serde_json::from_str::<Json>(&text).ok().and_then(|json| {
            let rows = json.get("data")?.as_array()?;
            rows.iter().map(|row| row.as_array().cloned()).collect()
        });
        rows.ok_or_else(|| Failure {
            code: 0,
            arguments: arguments.into(),
            reason: "it printed no table".into(),
        })
    }

    pub fn bridges(&self) -> Result<Vec<BridgeRow>, Failure> {
        let rows = self.table("--columns=name,fail_mode,other_config list Bridge")?;
        let row = |row: Vec<Json>| {
            Some(BridgeRow {
                name: row.first()?.as_str()?.to_string(),
                fail_mode: row.get(1)?.as_str().map(String::from),
                other_config: map(row.get(2)?),
            })
        };
        Ok(rows.into_iter().filter_map(row).collect())
    }

    /// The OpenFlow port numbers of interfaces; none for one that has none yet.
    pub fn ofports(&self, interfaces: &[&str]) -> Result<Vec<Option<u32>>, Failure> {
        let rows = self.table("--columns=name,ofport list Interface")?;
        let port = |name: &&str| {
            let row = rows
                .iter()
                .find(|r| r.first().and_then(Json::as_str) == Some(*name))?;
            u32::try_from(row.get(1)?.as_i64()?).ok()
        };
        Ok(interfaces.iter().map(port).collect())
    }

    /// The managers, as they stand in the database: "ssl:192.0.2.1:6640".
    pub fn managers(&self) -> Result<Vec<String>, Failure> {
        Ok(lines(&self.query("get-manager")?))
    }
}

pub fn lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(String::from)
        .collect()
}

/// A column of type map, in OVSDB's JSON (RFC 7047, 5.1).
pub fn map(json: &Json) -> BTreeMap<String, String> {
    let pairs = match json.as_array().map(Vec::as_slice) {
        Some([Json::String(kind), Json::Array(pairs)]) if kind == "map" => pairs.as_slice(),
        _ => &[],
    };
    let pair = |pair: &Json| {
        Some((
            pair.get(0)?.as_str()?.to_string(),
            pair.get(1)?.as_str()?.to_string(),
        ))
    };
    pairs.iter().filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_transaction_is_one_call() {
        let mut t = Transaction::new();
        t.add("--if-exists del-br x");
        t.add(format!(
            "set Bridge y other-config:hwaddr={}",
            quoted("00:11:22:33:44:55")
        ));
        let want = [
            "--",
            "--if-exists",
            "del-br",
            "x",
            "--",
            "set",
            "Bridge",
            "y",
        ];
        assert_eq!(t.arguments()[..8], want);
        assert_eq!(
            t.arguments()[8],
            "other-config:hwaddr=\"00:11:22:33:44:55\""
        );
    }

    #[test]
    fn maps_are_read_and_anything_else_is_none() {
        let want = [("a".to_string(), "b".to_string())].into();
        assert_eq!(map(&json!(["map", [["a", "b"], ["c", 1], []]])), want);
        for bad in [json!(["set", []]), json!("x"), json!(["map"]), json!(null)] {
            assert!(map(&bad).is_empty(), "{bad}");
        }
    }
}
