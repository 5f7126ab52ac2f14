// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes frames out of what a serial port says.
//!
//! A frame ([`shared_abi::trace::frame`]) stands between the console's lines, within one, or has one within it: layers
//! that print at once on two CPUs cut each other. Whole frames become entries, the others are counted, and what was
//! said beside them stays as if they had never been there.

use super::Entry;
use shared_abi::trace::Layer;
use shared_abi::trace::frame::{Frame, LENGTH, SEPARATOR};

/// More hexadecimal digits than anybody prints who isn't a frame.
const REMAINS: usize = LENGTH / 2;

/// What is between the console's bytes of one port.
#[derive(Debug)]
pub struct Frames {
    /// Who prints on it.
    layers: &'static [Layer],
    /// A frame that has begun.
    open: Vec<u8>,
    /// A line cut the last frame, and this many of its digits may follow as a line of their own.
    owed: usize,
    /// Digits at the beginning of a line, while they may be those.
    rest: Vec<u8>,
    line_begins: bool,
    found: Vec<Entry>,
    damaged: u64,
}

impl Frames {
    /// Begins with nothing heard of a port on which these layers print. What the normal world prints there can't pass
    /// for the secure world's.
    pub const fn new(layers: &'static [Layer]) -> Self {
        Self { layers, open: Vec::new(), owed: 0, rest: Vec::new(), line_begins: true, found: Vec::new(), damaged: 0 }
    }

    /// Hears more bytes; returns those of them that are the console's.
    pub fn hear(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if byte == SEPARATOR {
                self.close(&mut text);
                text.append(&mut self.rest);
                self.open.push(byte);
            } else if self.open.is_empty() {
                self.hear_text(byte, &mut text);
            } else {
                self.open.push(byte);
                if byte == b'\n' || self.open.len() == LENGTH {
                    self.close(&mut text);
                }
            }
        }
        text
    }

    /// Says whether a line is what is left of a frame that lost its separator.
    pub fn are_remains(&mut self, line: &[u8]) -> bool {
        let digits = line.iter().filter(|byte| byte.is_ascii_hexdigit()).count();
        let remains = digits >= REMAINS && line.len() - digits <= 2;
        self.damaged += u64::from(remains);
        remains
    }

    /// Takes the entries found since this was last asked.
    pub fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.found)
    }

    /// Says how many frames were damaged.
    pub const fn damaged(&self) -> u64 {
        self.damaged
    }

    fn hear_text(&mut self, byte: u8, text: &mut Vec<u8>) {
        let may_be_rest = self.owed > 0 && (self.line_begins || !self.rest.is_empty());
        self.line_begins = byte == b'\n';
        if may_be_rest && byte.is_ascii_hexdigit() && self.rest.len() < self.owed {
            self.rest.push(byte);
        } else if self.line_begins && !self.rest.is_empty() {
            self.rest.clear();
            self.owed = 0;
        } else {
            text.append(&mut self.rest);
            text.push(byte);
        }
    }

    /// Ends the frame here, as it should end or not.
    fn close(&mut self, text: &mut Vec<u8>) {
        let whole = std::mem::take(&mut self.open);
        if whole.is_empty() {
            return;
        }
        let (line, after) = whole.split_at(whole.len().min(LENGTH - 1));
        if let Some(frame) = Frame::parse(line).filter(|frame| self.layers.contains(&frame.layer)) {
            self.found.push(Entry { layer: frame.layer, cpu: frame.cpu, record: frame.record });
            // What is there in place of its line feed is the next line's.
            text.extend(after.iter().filter(|byte| **byte != b'\n'));
            self.owed = 0;
            return;
        }
        self.damaged += 1;
        self.owed = 0;
        // Another's line in the middle of it?
        if let Some(start) = whole.iter().position(|byte| *byte == b'[') {
            text.extend(&whole[start..]);
            self.owed = LENGTH - 1 - start.min(LENGTH - 1);
            self.line_begins = whole.ends_with(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::trace::{Event, Record};

    fn frame(sequence: u32) -> String {
        let event = Event::Call {
            conduit: shared_abi::trace::event::Conduit::Smc,
            from: shared_abi::trace::World::Normal,
            vcpu: 0,
            x: [0xdead_beef; 8],
        };
        let record = Record { time: 99, sequence, client: 1, event };
        Frame { layer: Layer::Hypervisor, cpu: 0, record }.to_string()
    }

    /// Returns what the console says, which records there are, how many were damaged; the same for all ways to cut the
    /// bytes into pieces.
    fn hear(bytes: &str) -> (String, Vec<u32>, u64) {
        let mut results = Vec::new();
        for piece in [1, 7, 64, bytes.len()] {
            let mut frames = Frames::new(&[Layer::Hypervisor]);
            let text: Vec<u8> = bytes.as_bytes().chunks(piece).flat_map(|piece| frames.hear(piece)).collect();
            let text = String::from_utf8(text).unwrap();
            let text =
                text.split_inclusive('\n').filter(|line| !frames.are_remains(line.trim_end().as_bytes())).collect();
            let found = frames.take().iter().map(|entry| entry.record.sequence).collect();
            results.push((text, found, frames.damaged()));
        }
        assert!(results.iter().all(|result| *result == results[0]));
        results.remove(0)
    }

    #[test]
    fn whole_frames_leave_nothing_in_the_console() {
        let bytes = format!("[HYP] one\n{}{}[vm1] ~ # {}ls\n", frame(0), frame(1), frame(2));
        assert_eq!(hear(&bytes), ("[HYP] one\n[vm1] ~ # ls\n".into(), vec![0, 1, 2], 0));
    }

    #[test]
    fn a_line_in_the_middle_of_a_frame_stays_and_the_next_frame_is_read() {
        let (cut, whole) = (frame(0), frame(1));
        for at in 1..cut.len() - 1 {
            let bytes = format!("{}[HYP] one\n{}{whole}[HYP] two\n", &cut[..at], &cut[at..]);
            assert_eq!(hear(&bytes), ("[HYP] one\n[HYP] two\n".into(), vec![1], 1), "{at}");
        }
    }

    #[test]
    fn a_frame_in_the_middle_of_a_frame_is_read() {
        let cut = frame(0);
        let bytes = format!("{}{}{}[HYP] one\n", &cut[..50], frame(1), &cut[50..]);
        let (text, found, damaged) = hear(&bytes);
        assert_eq!((found, damaged), (vec![1], 2));
        assert_eq!(text, "[HYP] one\n");
    }

    #[test]
    fn a_frame_with_a_flipped_bit_is_lost_and_nothing_else() {
        let (damaged, whole) = (frame(0), frame(1));
        for (at, bit) in (0..damaged.len()).flat_map(|at| [0, 1, 3, 4, 6].map(|bit| (at, bit))) {
            let mut bytes = damaged.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            let Ok(damaged) = String::from_utf8(bytes) else { continue };
            let (text, found, count) = hear(&format!("[HYP] one\n{damaged}{whole}[HYP] two\n"));
            assert!(text.starts_with("[HYP] one\n") && text.ends_with("[HYP] two\n"), "{at} {bit}: {text}");
            // The line feed is not part of what the sum protects.
            if at == damaged.len() - 1 {
                assert_eq!(found, [0, 1]);
            } else {
                assert_eq!((found, count), (vec![1], 1), "{at} {bit}");
            }
        }
    }

    #[test]
    fn garbage_is_no_frame_and_the_next_frame_is_read() {
        let (text, found, damaged) = hear(&format!("\x1e\x1eghi\n[HYP] one\n\x1e{}\n{}", "0".repeat(400), frame(7)));
        assert_eq!((found, damaged), (vec![7], 4));
        assert_eq!(text, "[HYP] one\n");
    }

    #[test]
    fn the_normal_world_has_no_frames_of_the_secure_world() {
        let mut frames = Frames::new(&[Layer::Monitor, Layer::Tee]);
        frames.hear(frame(0).as_bytes());
        assert_eq!((frames.take().len(), frames.damaged()), (0, 1));
    }
}
