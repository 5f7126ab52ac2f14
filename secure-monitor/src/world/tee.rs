// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE on one CPU: where it is entered, and what it was entered for.

use super::next::Step;
use core::num::NonZeroU64;
use shared_abi::layout;
use shared_abi::opteed::Vector;

/// Why the TEE was entered last, and so what its return means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Errand {
    /// It was not: nothing is outstanding.
    #[default]
    None,
    /// Its first entry.
    Entry,
    /// A call of the normal world.
    Call,
    /// A secure interrupt that came while the normal world ran.
    Interrupt,
    /// It is told of a step of power.
    Power(Step),
}

impl Errand {
    /// Numbers the errand as the trace does ([`shared_abi::trace::event::ERRANDS`]).
    #[inline(always)]
    pub const fn number(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Entry => 1,
            Self::Call => 2,
            Self::Interrupt => 3,
            Self::Power(step) => step as u8,
        }
    }

    /// Says how many seconds the TEE may take where it is to begin. Linux gives a CPU five to come.
    pub const fn patience(self) -> u64 {
        match self {
            Self::Power(_) => 2,
            // All of its own set-up, once, on a machine that may be an emulated one on a busy host.
            _ => 30,
        }
    }
}

/// The address of the TEE's vector table, which is in the TEE's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VectorTable(NonZeroU64);

impl VectorTable {
    /// Takes an address that the TEE says; `None` if that is not in its memory, or no place for instructions.
    pub fn new(address: u64) -> Option<Self> {
        let usable = layout::TEE.holds(address, Vector::TABLE_SIZE) && address.is_multiple_of(4);
        NonZeroU64::new(address).filter(|_| usable).map(Self)
    }

    /// Returns the table's address.
    pub const fn address(self) -> u64 {
        self.0.get()
    }

    /// Says where an entry is.
    #[inline(always)]
    pub const fn entry(self, vector: Vector) -> u64 {
        self.0.get() + vector.offset()
    }
}

/// The TEE on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tee {
    vectors: Option<VectorTable>,
    errand: Errand,
    /// How often it was seen to be where it began.
    looks: u32,
}

/// How often the TEE is looked for, in equal parts of its time, before it is given up. Time may pass without the CPU:
/// a machine may be an emulated one that somebody stops, or whose host is busy. Between two looks the CPU has run.
pub const LOOKS: u32 = 8;

impl Tee {
    /// A TEE that is not there.
    pub const ABSENT: Self = Self { vectors: None, errand: Errand::None, looks: 0 };

    /// Says what it was entered for and has not returned from.
    #[inline(always)]
    pub const fn errand(&self) -> Errand {
        self.errand
    }

    /// Sends it on an errand by way of its table, to the entry that is returned. `None`, with nothing changed, if it
    /// is not there.
    #[inline(always)]
    pub fn send(&mut self, errand: Errand, vector: Vector) -> Option<u64> {
        let entry = self.vectors?.entry(vector);
        self.errand = errand;
        Some(entry)
    }

    /// Notes that it begins on this CPU, where it has said nothing yet.
    pub fn begin(&mut self, errand: Errand) {
        *self = Self { vectors: None, errand, looks: 0 };
    }

    /// Notes that a part of its time is over. Says whether that was the last.
    pub fn is_overdue(&mut self) -> bool {
        self.looks += 1;
        self.looks >= LOOKS
    }

    /// Takes back what it was entered for: it has returned.
    #[inline(always)]
    pub fn returned(&mut self) -> Errand {
        core::mem::take(&mut self.errand)
    }

    /// Notes that it can be entered on this CPU from now on.
    pub fn ready(&mut self, vectors: VectorTable) {
        self.vectors = Some(vectors);
    }

    /// Notes that it is not to be entered again on this CPU.
    pub fn gone(&mut self) {
        self.vectors = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared_abi::layout::{DRAM_BASE, TEE};
    use shared_abi::trace::event::ERRANDS;

    #[test]
    fn a_vector_table_is_in_the_tees_memory_to_its_last_entry() {
        let last = TEE.end() - Vector::TABLE_SIZE;
        for table in [TEE.base, TEE.base + 0x1000, last] {
            let vectors = VectorTable::new(table).unwrap();
            assert_eq!((vectors.address(), vectors.entry(Vector::Fast)), (table, table + 4));
        }
        for table in [0, 0x0E00_0000, DRAM_BASE, TEE.base - 4, last + 4, TEE.base + 2, u64::MAX - 3] {
            assert_eq!(VectorTable::new(table), None, "{table:#x}");
        }
    }

    #[test]
    fn what_is_not_there_is_sent_on_no_errand() {
        let mut tee = Tee::ABSENT;
        assert_eq!(tee.send(Errand::Call, Vector::Fast), None);
        assert_eq!(tee, Tee::ABSENT);
        tee.ready(VectorTable::new(TEE.base).unwrap());
        assert_eq!(tee.send(Errand::Call, Vector::Fast), Some(TEE.base + 4));
        assert_eq!((tee.returned(), tee.returned()), (Errand::Call, Errand::None));
        tee.gone();
        assert_eq!(tee.send(Errand::Call, Vector::Fast), None);
    }

    #[test]
    fn where_it_begins_it_can_not_be_entered_by_its_table_yet() {
        let mut tee = Tee::ABSENT;
        tee.ready(VectorTable::new(TEE.base).unwrap());
        tee.begin(Errand::Power(Step::On));
        assert_eq!(tee.errand(), Errand::Power(Step::On));
        assert_eq!(tee.send(Errand::Call, Vector::Fast), None);
    }

    #[test]
    fn it_is_given_up_after_all_of_its_time_wherever_it_begins() {
        let mut tee = Tee::ABSENT;
        for errand in [Errand::Entry, Errand::Power(Step::On)] {
            tee.begin(errand);
            assert!((1..LOOKS).all(|_| !tee.is_overdue()), "{errand:?}");
            assert!(tee.is_overdue());
        }
    }

    #[test]
    fn errands_are_numbered_as_the_trace_names_them() {
        for (errand, name) in [
            (Errand::None, "nothing"),
            (Errand::Entry, "entry"),
            (Errand::Call, "call"),
            (Errand::Interrupt, "interrupt"),
            (Errand::Power(Step::On), "CPU on"),
            (Errand::Power(Step::Off), "CPU off"),
            (Errand::Power(Step::Suspend), "suspend"),
            (Errand::Power(Step::Resume), "resume"),
            (Errand::Power(Step::SystemOff), "system off"),
            (Errand::Power(Step::SystemReset), "system reset"),
        ] {
            assert_eq!(ERRANDS[usize::from(errand.number())], name);
        }
    }
}
