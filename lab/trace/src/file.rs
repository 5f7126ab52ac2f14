// SPDX-License-Identifier: MIT OR Apache-2.0
//! A trace as a file: `trace.bin` in a run's folder.
//!
//! Little-endian words: `MAGIC`; frequency; lost; damaged; 1 if a tick is an instruction; how many entries. Then each
//! entry: a word with the layer in bits 7:0 and the CPU in 15:8, and the record's words as they stood in its ring.

use super::{Entry, Trace};
use anyhow::{Context, Result, ensure};
use shared_abi::trace::record::WORDS;
use shared_abi::trace::{Layer, Record};
use std::fs;
use std::path::Path;

/// What the file is called in a run's folder.
pub const NAME: &str = "trace.bin";
/// The first word.
const MAGIC: u64 = u64::from_le_bytes(*b"TRIPFIL1");
/// Words before the entries.
const HEADER: usize = 6;
/// Words of an entry.
const ENTRY: usize = 1 + WORDS;

impl Trace {
    /// Writes it to a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut words = Vec::with_capacity(HEADER + self.entries.len() * ENTRY);
        let counts = [self.frequency, self.lost, self.damaged, self.instructions.into(), self.entries.len() as u64];
        words.push(MAGIC);
        words.extend(counts);
        for Entry { layer, cpu, record } in &self.entries {
            words.push(*layer as u64 | u64::from(*cpu) << 8);
            words.extend(record.to_words());
        }
        let bytes: Vec<u8> = words.into_iter().flat_map(u64::to_le_bytes).collect();
        fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads it back.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no trace of this version of the lab", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let (words, []) = bytes.as_chunks() else { anyhow::bail!("it ends within a word") };
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let (header, entries) = words.split_first_chunk::<HEADER>().context("it is shorter than its header")?;
        let [magic, frequency, lost, damaged, instructions, count] = *header;
        ensure!(magic == MAGIC, "it does not begin as one");
        let (entries, []) = entries.as_chunks::<ENTRY>() else { anyhow::bail!("it ends within an entry") };
        ensure!(entries.len() as u64 == count, "it has {} entries instead of {count}", entries.len());
        let entries = entries.iter().map(entry).collect::<Option<_>>().context("one of its entries is no record")?;
        Ok(Self { frequency, entries, lost, damaged, instructions: instructions != 0 })
    }
}

fn entry(words: &[u64; ENTRY]) -> Option<Entry> {
    let (&[about], record) = words.split_first_chunk()?;
    let layer = Layer::from_number(about as u8)?;
    Some(Entry { layer, cpu: (about >> 8) as u8, record: Record::from_words(record.try_into().ok()?)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::trace::Event;
    use tempfile::TempDir;

    #[test]
    fn a_trace_comes_back_as_it_was_written_and_a_damaged_one_is_an_error() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(NAME);
        let entries = Event::examples()
            .zip(0..)
            .map(|(event, sequence)| {
                let record = Record { time: u64::from(sequence) * 10, sequence, client: 3, event };
                Entry { layer: Layer::ALL[sequence as usize % 3], cpu: sequence as u8 % 8, record }
            })
            .collect();
        let trace = Trace { frequency: 1_000_000_000, entries, lost: 7, damaged: 8, instructions: true };
        trace.write(&path).unwrap();
        assert_eq!(Trace::read(&path).unwrap(), trace);

        let bytes = fs::read(&path).unwrap();
        assert!(Trace::parse(&bytes[8..]).is_err());
        for length in 0..bytes.len() {
            assert!(Trace::parse(&bytes[..length]).is_err(), "{length}");
        }
        let mut damaged = bytes;
        damaged[HEADER * 8] = 3;
        assert!(Trace::parse(&damaged).is_err());
    }
}
