// SPDX-License-Identifier: MIT OR Apache-2.0
//! The writer of a ring, whose form is [`shared_abi::trace::ring`]'s.

use core::sync::atomic::{AtomicU64, Ordering, fence};
use shared_abi::trace::Layer;
use shared_abi::trace::record::{BYTES, Record, WORDS};
use shared_abi::trace::ring::{CAPACITY, HEADER, MAGIC, SLOT, WRITTEN};

/// One for each CPU, in the layer's own memory, which alone says where the next record goes.
#[derive(Debug)]
pub struct Writer {
    words: &'static [AtomicU64],
    /// Index of the word where the next record begins.
    next: usize,
    written: u64,
}

impl Writer {
    /// Makes a ring in `words`, a whole slot. `None` if they are not [`SLOT`] bytes.
    pub fn new(words: &'static [AtomicU64], layer: Layer, cpu: usize, frequency: u64) -> Option<Self> {
        if words.len() as u64 * 8 != SLOT {
            return None;
        }
        let about = layer as u64 | (cpu as u64 & 0xFF) << 8 | (BYTES as u64) << 16 | (CAPACITY as u64) << 32;
        words[0].store(0, Ordering::Relaxed);
        fence(Ordering::Release);
        words[1].store(about, Ordering::Relaxed);
        words[2].store(frequency, Ordering::Relaxed);
        words[WRITTEN].store(0, Ordering::Relaxed);
        words[0].store(MAGIC, Ordering::Release);
        Some(Self { words, next: HEADER, written: 0 })
    }

    /// Returns the number of the next record.
    #[inline(always)]
    pub const fn sequence(&self) -> u32 {
        self.written as u32
    }

    /// Writes a record over the oldest one. Always the same number of instructions but for the end of the ring.
    #[inline(always)]
    pub fn write(&mut self, record: &Record) {
        self.write_words(&record.to_words());
    }

    /// Writes a record as it stands in memory.
    #[inline(always)]
    pub fn write_words(&mut self, record: &[u64; WORDS]) {
        if let Some(place) = self.words.get(self.next..self.next + WORDS) {
            for (word, value) in place.iter().zip(record) {
                word.store(*value, Ordering::Relaxed);
            }
        }
        self.written += 1;
        self.next += WORDS;
        if self.next >= HEADER + CAPACITY * WORDS {
            self.next = HEADER;
        }
        self.words[WRITTEN].store(self.written, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::trace::Event;
    use shared_abi::trace::ring::Reader;

    fn slot() -> &'static [AtomicU64] {
        (0..SLOT / 8).map(|_| AtomicU64::new(0)).collect::<Vec<_>>().leak()
    }

    fn read(words: &'static [AtomicU64]) -> impl Fn(u64, &mut [u8]) -> bool {
        move |offset, buffer| {
            for (index, bytes) in buffer.chunks_exact_mut(8).enumerate() {
                bytes.copy_from_slice(&words[offset as usize / 8 + index].load(Ordering::Relaxed).to_le_bytes());
            }
            true
        }
    }

    fn write(writer: &mut Writer, count: usize) {
        for _ in 0..count {
            let sequence = writer.sequence();
            let event = Event::Calibration { round: u64::from(sequence) };
            writer.write(&Record { time: u64::from(sequence), sequence, client: 0, event });
        }
    }

    #[test]
    fn what_is_written_is_read_once_and_in_order() {
        let words = slot();
        let mut reader = Reader::default();
        assert_eq!(reader.poll(read(words), |_| panic!()), None);
        let mut writer = Writer::new(words, Layer::Hypervisor, 3, 62_500_000).unwrap();
        let mut next = 0;
        for count in [0, 1, 63, 64, 65, CAPACITY - 100, CAPACITY - 2] {
            write(&mut writer, count);
            let header = reader.poll(read(words), |record| {
                assert_eq!(record.sequence, next);
                next += 1;
            });
            let header = header.unwrap();
            assert_eq!((header.layer, header.cpu, header.frequency), (Layer::Hypervisor, 3, 62_500_000));
        }
        assert_eq!((u64::from(next), reader.lost, reader.damaged), (writer.written, 0, 0));
    }

    #[test]
    fn what_was_overwritten_is_counted() {
        let words = slot();
        let mut reader = Reader::default();
        let mut writer = Writer::new(words, Layer::Monitor, 0, 1).unwrap();
        write(&mut writer, 2 * CAPACITY + 5);
        let mut seen = 0;
        reader.poll(read(words), |_| seen += 1).unwrap();
        assert_eq!((seen, reader.lost), (CAPACITY as u64 - 2, CAPACITY as u64 + 7));
    }

    #[test]
    fn what_others_write_into_the_ring_is_damage_and_no_more() {
        let words = slot();
        let mut reader = Reader::default();
        let mut writer = Writer::new(words, Layer::Monitor, 0, 1).unwrap();
        write(&mut writer, 10);
        words[HEADER + 3 * WORDS + 1].store(u64::MAX, Ordering::Relaxed);
        let mut seen = 0;
        reader.poll(read(words), |_| seen += 1).unwrap();
        assert_eq!((seen, reader.damaged), (9, 1));
        words[1].store(0, Ordering::Relaxed);
        assert_eq!(reader.poll(read(words), |_| panic!()), None);
    }
}
