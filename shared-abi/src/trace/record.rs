// SPDX-License-Identifier: MIT OR Apache-2.0
//! An event with its time, as 80 bytes.

use super::event::{Encoded, Event};

/// Words of a record: when; sequence, client, kind and detail; eight of the event.
pub const WORDS: usize = 10;
/// Bytes of a record.
pub const BYTES: usize = WORDS * 8;

/// What happened, when, and for whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// CNTPCT_EL0 when it happened, in ticks of CNTFRQ_EL0. Under QEMU's `-icount shift=0` with `cntfrq=1000000000` a
    /// tick is an instruction.
    pub time: u64,
    /// Number of this record among those of its layer on its CPU, modulo 2³²: what is missing was lost.
    pub sequence: u32,
    /// The client id it is about, 0 for the hypervisor itself or nobody: what the layer believes it to be, or, for a
    /// call, what the caller alleges in bits 15:0 of x7.
    pub client: u16,
    /// What.
    pub event: Event,
}

impl Record {
    /// Returns it as it stands in memory.
    #[inline(always)]
    pub const fn to_words(&self) -> [u64; WORDS] {
        words(self.time, self.sequence, self.client, &self.event.encode())
    }

    /// Reads it back. `None` if it is nothing that a layer writes.
    pub fn from_words(words: &[u64; WORDS]) -> Option<Self> {
        let [time, about, event @ ..] = *words;
        let encoded = Encoded { kind: (about >> 48) as u8, detail: (about >> 56) as u8, words: event };
        let event = Event::decode(&encoded)?;
        Some(Self { time, sequence: about as u32, client: (about >> 32) as u16, event })
    }
}

/// Makes a record of these parts, as it stands in memory.
#[inline(always)]
pub const fn words(time: u64, sequence: u32, client: u16, event: &Encoded) -> [u64; WORDS] {
    let Encoded { kind, detail, words: w } = event;
    let about = sequence as u64 | (client as u64) << 32 | (*kind as u64) << 48 | (*detail as u64) << 56;
    [time, about, w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_as_it_was() {
        for event in Event::examples() {
            let record = Record { time: u64::MAX - 3, sequence: 0xFFFF_FFFE, client: 0xFFFF, event };
            assert_eq!(Record::from_words(&record.to_words()), Some(record), "{event:?}");
        }
    }

    #[test]
    fn noise_is_no_record() {
        assert_eq!(Record::from_words(&[0; WORDS]), None);
        assert_eq!(Record::from_words(&[u64::MAX; WORDS]), None);
    }
}
