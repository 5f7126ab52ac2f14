// SPDX-License-Identifier: MIT OR Apache-2.0
//! A record as a line of text among the other lines of a UART.
//!
//! `\x1e` (the record separator of ASCII), the layer and the CPU as a digit each, the record's words as hexadecimal
//! digits, most significant first, a CRC-16 (CCITT, initial value 0xFFFF) of all characters between separator and sum,
//! and a line feed. A reader skips to the next separator after anything that does not fit.

use super::Layer;
use super::record::{Record, WORDS};
use core::fmt;

/// What a frame begins with.
pub const SEPARATOR: u8 = 0x1E;
/// Characters of a frame, separator and line feed included.
pub const LENGTH: usize = 1 + 2 + WORDS * 16 + 4 + 1;

/// A record to be written as a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Who writes.
    pub layer: Layer,
    /// On which CPU.
    pub cpu: u8,
    /// What.
    pub record: Record,
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(core::str::from_utf8(&self.to_bytes()).unwrap_or_default())
    }
}

impl Frame {
    /// Returns the whole line.
    pub fn to_bytes(&self) -> [u8; LENGTH] {
        line(self.layer, self.cpu, &self.record.to_words())
    }

    /// Reads a line, from its separator to before its line feed. `None` if it is damaged.
    pub fn parse(line: &[u8]) -> Option<Self> {
        let (&[SEPARATOR], rest) = line.split_at_checked(1)? else { return None };
        if rest.len() != LENGTH - 2 {
            return None;
        }
        let (text, sum) = rest.split_at(rest.len() - 4);
        if number(sum)? != u64::from(crc(text)) {
            return None;
        }
        let layer = Layer::from_number(text[0].wrapping_sub(b'0'))?;
        let cpu = number(&text[1..2])? as u8;
        let mut words = [0; WORDS];
        for (word, digits) in words.iter_mut().zip(text[2..].chunks_exact(16)) {
            *word = number(digits)?;
        }
        Some(Self { layer, cpu, record: Record::from_words(&words)? })
    }
}

/// Returns the line of a record as it stands in memory. Out of line: records are written in many places.
#[inline(never)]
pub fn line(layer: Layer, cpu: u8, record: &[u64; WORDS]) -> [u8; LENGTH] {
    let mut line = [b'\n'; LENGTH];
    line[0] = SEPARATOR;
    line[1] = b'0' + layer as u8;
    line[2] = digit(u64::from(cpu));
    for (word, place) in record.iter().zip(line[3..].chunks_exact_mut(16)) {
        put(place, *word);
    }
    let sum = crc(&line[1..LENGTH - 5]);
    put(&mut line[LENGTH - 5..LENGTH - 1], sum.into());
    line
}

fn digit(value: u64) -> u8 {
    b"0123456789abcdef"[value as usize & 0xF]
}

/// Writes the low digits of a value, as many as there is place for.
#[inline(never)]
fn put(place: &mut [u8], mut value: u64) {
    for character in place.iter_mut().rev() {
        *character = digit(value);
        value >>= 4;
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, character| {
        let digit = match character {
            b'0'..=b'9' => character - b'0',
            b'a'..=b'f' => character - b'a' + 10,
            _ => return None,
        };
        Some(value << 4 | u64::from(digit))
    })
}

/// Computes CRC-16/CCITT-FALSE, which finds every burst of up to 16 bits.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| if crc & 0x8000 != 0 { crc << 1 ^ 0x1021 } else { crc << 1 })
    })
}

#[cfg(test)]
mod tests {
    use super::super::event::Event;
    use super::*;

    #[test]
    fn the_sum_is_the_standard_one() {
        assert_eq!(crc(b"123456789"), 0x29B1);
    }

    #[test]
    fn a_frame_comes_back_and_a_damaged_one_does_not() {
        for event in Event::examples() {
            let frame =
                Frame { layer: Layer::Tee, cpu: 7, record: Record { time: 1 << 63, sequence: 5, client: 9, event } };
            let bytes = frame.to_bytes();
            let line = bytes.strip_suffix(b"\n").unwrap();
            assert_eq!(Frame::parse(line), Some(frame));
            for at in 0..line.len() {
                let mut damaged = line.to_vec();
                damaged[at] ^= 1;
                assert_eq!(Frame::parse(&damaged), None);
                damaged.remove(at);
                assert_eq!(Frame::parse(&damaged), None);
            }
        }
    }
}
