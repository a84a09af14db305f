// SPDX-License-Identifier: GPL-2.0
//! XML-RPC's values, calls and responses (the 1999 specification), as far as the XenAPI uses them.

use crate::error::Result;
use crate::failed;
use crate::xml::Element;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Also what has no type, dates and base64: kept as they stand.
    String(String),
    Int(i64),
    Bool(bool),
    Double(f64),
    Nil,
    Array(Vec<Value>),
    Struct(BTreeMap<String, Value>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::String(text.into())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::String(text)
    }
}

impl Value {
    pub fn strings(list: impl IntoIterator<Item = impl Into<String>>) -> Value {
        Value::Array(list.into_iter().map(|s| Value::String(s.into())).collect())
    }

    pub fn record<K: Into<String>>(fields: impl IntoIterator<Item = (K, Value)>) -> Value {
        Value::Struct(fields.into_iter().map(|(k, v)| (k.into(), v)).collect())
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(s) => Some(s),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Value::Array(list) => Some(list),
            _ => None,
        }
    }

    pub fn as_struct(&self) -> Option<&BTreeMap<String, Value>> {
        match self {
            Value::Struct(fields) => Some(fields),
            _ => None,
        }
    }

    /// A field of a struct.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.as_struct()?.get(name)
    }

    /// A field that is a struct of strings, such as other_config. What is in it and no string is left out.
    pub fn string_map(&self, name: &str) -> BTreeMap<String, String> {
        let fields = self
            .get(name)
            .and_then(Value::as_struct)
            .into_iter()
            .flatten();
        fields
            .filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_string())))
            .collect()
    }

    fn to_element(&self) -> Element {
        let typed = |name: &str, text: &str| Element::with_text(name, text);
        let inner = match self {
            Value::String(s) => typed("string", s),
            Value::Int(n) => typed(
                if i32::try_from(*n).is_ok() {
                    "int"
                } else {
                    "i8"
                },
                &n.to_string(),
            ),
            Value::Bool(b) => typed("boolean", if *b { "1" } else { "0" }),
            Value::Double(d) => typed("double", &d.to_string()),
            Value::Nil => Element::new("nil"),
            Value::Array(list) => {
                let data = list.iter().map(Value::to_element).collect();
                Element::with_children("array", vec![Element::with_children("data", data)])
            }
            Value::Struct(fields) => {
                let member = |(name, value): (&String, &Value)| {
                    let name = Element::with_text("name", name);
                    Element::with_children("member", vec![name, value.to_element()])
                };
                Element::with_children("struct", fields.iter().map(member).collect())
            }
        };
        Element::with_children("value", vec![inner])
    }

    fn from_element(value: &Element) -> Result<Value> {
        let Some(typed) = value.children.first() else {
            return Ok(Value::String(value.text.clone()));
        };
        if value.children.len() > 1 {
            return Err(failed!(
                "XML-RPC: a value of {} types",
                value.children.len()
            ));
        }
        let text = typed.text.as_str();
        let bad = || failed!("XML-RPC: '{text}' is no {}", typed.name);
        Ok(match typed.name.as_str() {
            "string" | "dateTime.iso8601" | "base64" => Value::String(text.into()),
            "int" | "i4" | "i8" => Value::Int(text.trim().parse().map_err(|_| bad())?),
            "double" => Value::Double(text.trim().parse().map_err(|_| bad())?),
            "boolean" => match text.trim() {
                "0" => Value::Bool(false),
                "1" => Value::Bool(true),
                _ => return Err(bad()),
            },
            "nil" => Value::Nil,
            "array" => {
                let data = typed
                    .child("data")
                    .ok_or_else(|| failed!("XML-RPC: array without data"))?;
                Value::Array(
                    data.children
                        .iter()
                        .map(Value::from_element)
                        .collect::<Result<_>>()?,
                )
            }
            "struct" => {
                let member = |m: &Element| match (m.child("name"), m.child("value")) {
                    (Some(name), Some(value)) => {
                        Ok((name.text.clone(), Value::from_element(value)?))
                    }
                    _ => Err(failed!("XML-RPC: a member without name or value")),
                };
                Value::Struct(typed.children.iter().map(member).collect::<Result<_>>()?)
            }
            other => return Err(failed!("XML-RPC: no type '{other}'")),
        })
    }
}

fn params(values: &[Value]) -> Element {
    let param = |v: &Value| Element::with_children("param", vec![v.to_element()]);
    Element::with_children("params", values.iter().map(param).collect())
}

fn read_params(parent: &Element) -> Result<Vec<Value>> {
    let params = parent.child("params").map_or(&[][..], |p| &p.children);
    let value = |p: &Element| match p.child("value") {
        Some(value) => Value::from_element(value),
        None => Err(failed!("XML-RPC: a parameter without value")),
    };
    params.iter().map(value).collect()
}

pub fn call(method: &str, arguments: &[Value]) -> String {
    let name = Element::with_text("methodName", method);
    Element::with_children("methodCall", vec![name, params(arguments)]).to_document(false)
}

pub fn parse_call(text: &str) -> Result<(String, Vec<Value>)> {
    let root = Element::parse(text)?;
    match root.child("methodName") {
        Some(name) if root.name == "methodCall" => {
            Ok((name.text.trim().to_string(), read_params(&root)?))
        }
        _ => Err(failed!("XML-RPC: not a call")),
    }
}

pub fn response(value: &Value) -> String {
    let params = params(std::slice::from_ref(value));
    Element::with_children("methodResponse", vec![params]).to_document(false)
}

/// The value of a response; a fault is an error.
pub fn parse_response(text: &str) -> Result<Value> {
    let root = Element::parse(text)?;
    if root.name != "methodResponse" {
        return Err(failed!("XML-RPC: not a response"));
    }
    if let Some(value) = root.child("fault").and_then(|f| f.child("value")) {
        let fault = Value::from_element(value)?;
        let text = fault
            .get("faultString")
            .and_then(Value::as_str)
            .unwrap_or("no reason given");
        return Err(failed!("XML-RPC fault: {text}"));
    }
    read_params(&root)?
        .into_iter()
        .next()
        .ok_or_else(|| failed!("XML-RPC: empty response"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Value {
        Value::record([
            ("s", Value::from("a <b> & 'c'\n")),
            ("i", Value::Int(-1)),
            ("l", Value::Int(1 << 40)),
            ("t", Value::Bool(true)),
            ("f", Value::Bool(false)),
            ("d", Value::Double(0.5)),
            ("n", Value::Nil),
            ("a", Value::strings(["x", ""])),
            ("e", Value::Struct(BTreeMap::new())),
        ])
    }

    #[test]
    fn calls_and_responses_round_trip() {
        let text = call("host.get_by_uuid", &["OpaqueRef:1".into(), all()]);
        let (method, args) = parse_call(&text).unwrap();
        assert_eq!(method, "host.get_by_uuid");
        assert_eq!(args, ["OpaqueRef:1".into(), all()]);
        assert_eq!(parse_response(&response(&all())).unwrap(), all());
    }

    #[test]
    fn untyped_values_are_strings() {
        let text =
            "<methodResponse><params><param><value>a b</value></param></params></methodResponse>";
        assert_eq!(parse_response(text).unwrap(), "a b".into());
        let text = text.replace("a b", "");
        assert_eq!(parse_response(&text).unwrap(), "".into());
    }

    #[test]
    fn a_fault_is_an_error() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>4</int>\
            </value></member><member><name>faultString</name><value>too many</value></member></struct>\
            </value></fault></methodResponse>";
        assert_eq!(
            parse_response(fault).unwrap_err().to_string(),
            "XML-RPC fault: too many"
        );
    }

    #[test]
    fn bad_messages_are_refused() {
        let value = |v: &str| {
            format!("<methodResponse><params><param>{v}</param></params></methodResponse>")
        };
        for bad in [
            "<methodResponse/>".to_string(),
            "<x/>".to_string(),
            value(""),
            value("<value><int>x</int></value>"),
            value("<value><boolean>2</boolean></value>"),
            value("<value><array/></value>"),
            value("<value><struct><member><name>a</name></member></struct></value>"),
            value("<value><what/></value>"),
            value("<value><int>1</int><int>2</int></value>"),
        ] {
            assert!(parse_response(&bad).is_err(), "{bad}");
        }
        assert!(parse_call("<methodResponse/>").is_err());
    }

    #[test]
    fn no_bytes_make_the_reader_fall_over() {
        let good = response(&all());
        crate::testing::broken(&good, 3000, |b| {
            parse_response(&String::from_utf8_lossy(b)).is_ok()
        });
    }
}
