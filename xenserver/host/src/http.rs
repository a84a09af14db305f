// SPDX-License-Identifier: GPL-2.0
//! One HTTP/1.1 POST over a Unix socket (RFC 9112): all the HTTP that speaking with the local xapi takes.

use crate::error::{Error, Result};
use crate::failed;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The most that is read of an answer: all records of the largest pool are a few megabytes.
const MAX_BODY: u64 = 64 << 20;
const MAX_LINE: u64 = 16 << 10;
const MAX_HEADERS: usize = 100;

/// Posts `body` and returns the answer's. Any status but 200 is an error.
pub fn post(socket: &Path, body: &str, limit: Duration) -> Result<String> {
    let connect = || {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        Ok(stream)
    };
    let mut stream: UnixStream = connect().map_err(|e: std::io::Error| {
        let socket = socket.display();
        Error::Unreachable(format!(
            "cannot reach xapi at {socket}: {e}; is it running?"
        ))
    })?;
    let request = format!(
        "POST / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: openvswitch\r\nConnection: close\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let lost = |e: std::io::Error| {
        Error::Unreachable(format!("xapi at {} does not answer: {e}", socket.display()))
    };
    stream.write_all(request.as_bytes()).map_err(lost)?;
    let body = read_response(BufReader::new(stream)).map_err(lost)?;
    String::from_utf8(body).map_err(|_| failed!("xapi's answer is not UTF-8"))
}

fn read_response(mut from: impl BufRead) -> std::io::Result<Vec<u8>> {
    let status = line(&mut from)?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(bad(&format!("HTTP status '{status}'")));
    }
    let mut length = None;
    let mut chunked = false;
    for n in 0.. {
        let header = line(&mut from)?;
        if header.is_empty() {
            break;
        }
        if n == MAX_HEADERS {
            return Err(bad("too many headers"));
        }
        let (name, value) = header
            .split_once(':')
            .ok_or_else(|| bad("a header without colon"))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = Some(value.parse::<u64>().map_err(|_| bad("Content-Length"))?);
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            chunked = value.eq_ignore_ascii_case("chunked");
        }
    }
    let mut body = Vec::new();
    if chunked {
        return read_chunks(from);
    }
    let want = length.unwrap_or(MAX_BODY);
    from.take(want.min(MAX_BODY)).read_to_end(&mut body)?;
    match length {
        Some(n) if n != body.len() as u64 => Err(bad("the answer ends early or is too long")),
        _ => Ok(body),
    }
}

fn read_chunks(mut from: impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let header = line(&mut from)?;
        let size = header.split(';').next().unwrap_or("").trim();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("chunk size"))?;
        if size == 0 {
            return Ok(body);
        }
        if size.saturating_add(body.len() as u64) > MAX_BODY {
            return Err(bad("the answer is too long"));
        }
        let before = body.len() as u64;
        from.by_ref().take(size).read_to_end(&mut body)?;
        if body.len() as u64 != before + size || !line(&mut from)?.is_empty() {
            return Err(bad("a chunk ends early"));
        }
    }
}

fn line(from: &mut impl BufRead) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    from.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes)?;
    match bytes.pop() {
        Some(b'\n') => {}
        _ => return Err(bad("a line ends early")),
    }
    if bytes.last() == Some(&b'\r') {
        bytes.pop();
    }
    String::from_utf8(bytes).map_err(|_| bad("a header is not UTF-8"))
}

fn bad(what: &str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> std::io::Result<String> {
        read_response(text.as_bytes()).map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn bodies_end_where_they_say() {
        let ok = "HTTP/1.1 200 OK\r\n";
        assert_eq!(
            read(&format!("{ok}content-length: 3\r\n\r\nabcdef")).unwrap(),
            "abc"
        );
        assert_eq!(read(&format!("{ok}\r\nabc")).unwrap(), "abc");
        let chunks = "Transfer-Encoding: chunked\r\n\r\n3;x=1\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        assert_eq!(read(&format!("{ok}{chunks}")).unwrap(), "abcd");
    }

    #[test]
    fn bad_answers_are_errors() {
        for text in [
            "",
            "HTTP/1.1 200 OK",
            "HTTP/1.1 500 Oops\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabc",
            &("HTTP/1.1 200 OK\r\n".to_string() + &"a: b\r\n".repeat(101) + "\r\nabc"),
            "HTTP/1.1 200 OK\r\nno colon\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn no_bytes_make_the_reader_fall_over() {
        let chunks = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc";
        for good in [chunks, length] {
            crate::testing::broken(good, 3000, |bytes| read_response(bytes).is_ok());
        }
    }
}
