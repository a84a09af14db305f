// SPDX-License-Identifier: GPL-2.0
//! XML as trees, over quick-xml's events: all that network.dbcache and XML-RPC need. No DTD, so no entities but XML's
//! own five and character references; no deeper than `MAX_DEPTH`.

use crate::error::Result;
use crate::failed;
use quick_xml::events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event};
use quick_xml::{Reader, Writer};

const MAX_DEPTH: usize = 64;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Element {
    pub name: String,
    pub attributes: Vec<(String, String)>,
    pub children: Vec<Element>,
    /// All text directly inside, in one piece.
    pub text: String,
}

impl Element {
    pub fn new(name: &str) -> Self {
        Element {
            name: name.into(),
            ..Element::default()
        }
    }

    pub fn with_text(name: &str, text: &str) -> Self {
        Element {
            name: name.into(),
            text: text.into(),
            ..Element::default()
        }
    }

    pub fn with_children(name: &str, children: Vec<Element>) -> Self {
        Element {
            name: name.into(),
            children,
            ..Element::default()
        }
    }

    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, value)| value.as_str())
    }

    pub fn child(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|c| c.name == name)
    }

    pub fn parse(text: &str) -> Result<Element> {
        let mut reader = Reader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        let mut root = None;
        let mut open: Vec<Element> = Vec::new();
        loop {
            let at = reader.buffer_position();
            let bad = |what: &dyn std::fmt::Display| failed!("not XML at byte {at}: {what}");
            match reader.read_event().map_err(|e| bad(&e))? {
                Event::Start(tag) if open.len() < MAX_DEPTH => {
                    open.push(start(&tag).map_err(|e| bad(&e))?)
                }
                Event::Start(_) => return Err(bad(&"elements too deep")),
                Event::Empty(tag) => {
                    let element = start(&tag).map_err(|e| bad(&e))?;
                    close(element, &mut open, &mut root).map_err(|e| bad(&e))?;
                }
                Event::End(_) => {
                    let element = open.pop().ok_or_else(|| bad(&"end without start"))?;
                    close(element, &mut open, &mut root).map_err(|e| bad(&e))?;
                }
                Event::Text(text) => {
                    let text = text.xml10_content().map_err(|e| bad(&e))?;
                    add_text(&text, &mut open).map_err(|e| bad(&e))?;
                }
                Event::CData(data) => {
                    let text = data.xml10_content().map_err(|e| bad(&e))?;
                    add_text(&text, &mut open).map_err(|e| bad(&e))?;
                }
                Event::GeneralRef(reference) => {
                    let name = reference.decode().map_err(|e| bad(&e))?;
                    let text = quick_xml::escape::unescape(&format!("&{name};"))
                        .map_err(|e| bad(&e))?
                        .into_owned();
                    add_text(&text, &mut open).map_err(|e| bad(&e))?;
                }
                Event::DocType(_) => return Err(bad(&"a DTD")),
                Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
                Event::Eof => break,
            }
        }
        match root {
            Some(root) if open.is_empty() => Ok(root),
            _ => Err(failed!("not XML: it ends before its root element does")),
        }
    }

    /// The document as text, each element on its own line when `indent`, else in one.
    pub fn to_document(&self, indent: bool) -> String {
        let mut writer = match indent {
            true => Writer::new_with_indent(Vec::new(), b'\t', 1),
            false => Writer::new(Vec::new()),
        };
        // Writing to a Vec does not fail.
        let _ = writer.write_event(Event::Decl(BytesDecl::new("1.0", None, None)));
        let _ = self.write(&mut writer);
        let mut text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
        text.push('\n');
        text
    }

    fn write(&self, writer: &mut Writer<Vec<u8>>) -> std::io::Result<()> {
        let mut tag = BytesStart::new(self.name.as_str());
        for (name, value) in &self.attributes {
            tag.push_attribute((name.as_str(), value.as_str()));
        }
        if self.children.is_empty() && self.text.is_empty() {
            return writer.write_event(Event::Empty(tag));
        }
        writer.write_event(Event::Start(tag))?;
        if !self.text.is_empty() {
            let legal: String = self.text.chars().filter(|&c| is_xml_char(c)).collect();
            writer.write_event(Event::Text(BytesText::new(&legal)))?;
        }
        for child in &self.children {
            child.write(writer)?;
        }
        writer.write_event(Event::End(BytesEnd::new(self.name.as_str())))
    }
}

/// XML 1.0's Char: a reader would refuse the whole document for any other.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

type Text<T> = std::result::Result<T, String>;

fn start(tag: &BytesStart<'_>) -> Text<Element> {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|e| e.to_string());
    let mut element = Element::new(&utf8(tag.name().as_ref())?);
    for attribute in tag.attributes() {
        let attribute = attribute.map_err(|e| e.to_string())?;
        let value = utf8(&attribute.value)?;
        let value = quick_xml::escape::unescape(&value).map_err(|e| e.to_string())?;
        element
            .attributes
            .push((utf8(attribute.key.as_ref())?, value.into_owned()));
    }
    Ok(element)
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Text<()> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_none() => *root = Some(element),
        None => return Err("more than one root element".into()),
    }
    Ok(())
}

fn add_text(text: &str, open: &mut [Element]) -> Text<()> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside the root element".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut root = Element::new("r");
        root.attributes.push(("ref".into(), "a<\"&'>".into()));
        root.children
            .push(Element::with_text("t", "x < y & z\u{1}\u{e9}"));
        root.children.push(Element::new("empty"));
        for indent in [false, true] {
            let text = root.to_document(indent);
            let read = Element::parse(&text).unwrap();
            assert_eq!(read.attribute("ref"), Some("a<\"&'>"));
            assert_eq!(read.child("t").unwrap().text, "x < y & z\u{e9}");
            assert_eq!(read.children.len(), 2);
        }
    }

    #[test]
    fn references_and_cdata_are_text() {
        let e = Element::parse("<?xml version='1.0'?><a>1&lt;&#50;<!-- c --><![CDATA[<3]]></a>");
        assert_eq!(e.unwrap().text, "1<2<3");
    }

    #[test]
    fn bad_documents_are_refused() {
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        for bad in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<a b=1/>",
            "<a b='1' b='2'/>",
            "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
            "<a>&e;</a>",
            "<a>&#0;</a>",
            "</a>",
            &deep,
        ] {
            let error = Element::parse(bad).expect_err(bad).to_string();
            assert!(error.starts_with("not XML"), "{error}");
        }
    }
}
