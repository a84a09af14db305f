// SPDX-License-Identifier: GPL-2.0
//! Broken input for parsers, the same each time.

/// Bytes that mean something to one parser or the other.
const BYTES: &[u8] = b"<>&;/:\r\n\"'0-9f\xff";

/// Gives `read` the text with a few bytes changed, cut off or cut out, `times` times. It must not panic; that some of it
/// can still be read shows that not everything stops at the first byte.
pub fn broken(text: &str, times: usize, read: impl Fn(&[u8]) -> bool) {
    let mut state = 1_u32;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as usize
    };
    let mut good = 0;
    for _ in 0..times {
        let mut bytes = text.as_bytes().to_vec();
        for _ in 0..1 + random() % 4 {
            let at = random() % bytes.len().max(1);
            match (bytes.get_mut(at), random() % 3) {
                (Some(byte), 0) => *byte = BYTES[random() % BYTES.len()],
                (Some(_), 1) => bytes.truncate(at),
                (Some(_), _) => drop(bytes.drain(at..(at + random() % 40).min(bytes.len()))),
                (None, _) => {}
            }
        }
        good += usize::from(read(&bytes));
    }
    assert!(
        good > 10 && good < times,
        "{good} of {times} can still be read"
    );
}
