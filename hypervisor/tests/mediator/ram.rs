// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest's RAM, which other CPUs of the guest's may change at any look that the mediator has at it.

use hypervisor::address::{Ipa, PAGE_SIZE, Pa};
use hypervisor::memory::GuestMemory;
use std::cell::{Cell, RefCell};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Where it begins for the guest, and how many pages it has.
pub const RAM: u64 = 0x4000_0000;
pub const PAGES: u64 = 32;
/// Where the machine has it, its pages in another order. No number that a guest writes looks like this.
pub const MACHINE: u64 = 0x77_0000_0000;
const WORDS: u64 = PAGE_SIZE / 8;

/// Something that happens at the n-th look from now.
pub struct Race {
    pub after: u64,
    pub ipa: u64,
    pub word: u64,
}

pub struct Memory {
    words: Vec<AtomicU64>,
    looks: Cell<u64>,
    race: RefCell<Option<Race>>,
}

impl Memory {
    pub fn new() -> Self {
        let words = (0..PAGES * WORDS).map(|_| AtomicU64::new(0)).collect();
        Self { words, looks: Cell::new(0), race: RefCell::new(None) }
    }

    pub fn get(&self, ipa: u64) -> u64 {
        self.words[((ipa - RAM) / 8) as usize].load(Relaxed)
    }

    pub fn set(&self, ipa: u64, word: u64) {
        self.words[((ipa - RAM) / 8) as usize].store(word, Relaxed);
    }

    pub fn block(&self, ipa: u64) -> [u64; 4] {
        std::array::from_fn(|n| self.get(ipa + 8 * n as u64))
    }

    pub fn set_block(&self, ipa: u64, block: [u64; 4]) {
        block.iter().enumerate().for_each(|(n, word)| self.set(ipa + 8 * n as u64, *word));
    }

    pub fn holds(ipa: u64, size: u64) -> bool {
        ipa >= RAM && ipa.checked_add(size).is_some_and(|end| end <= RAM + PAGES * PAGE_SIZE)
    }

    /// All of it.
    pub fn snapshot(&self) -> Vec<u64> {
        self.words.iter().map(|word| word.load(Relaxed)).collect()
    }

    pub fn set_race(&self, race: Option<Race>) {
        self.looks.set(0);
        *self.race.borrow_mut() = race;
    }

    fn look(&self) {
        let looks = self.looks.get();
        self.looks.set(looks + 1);
        let due = self.race.borrow_mut().take_if(|race| race.after <= looks);
        if let Some(Race { ipa, word, .. }) = due {
            self.set(ipa, word);
        }
    }
}

/// Where the machine has a page.
pub fn machine(ipa: u64) -> u64 {
    MACHINE + ((ipa - RAM) / PAGE_SIZE * 7 % PAGES) * PAGE_SIZE
}

/// Whose page it is there.
pub fn guests(pa: u64) -> Option<u64> {
    (RAM..RAM + PAGES * PAGE_SIZE).step_by(PAGE_SIZE as usize).find(|ipa| machine(*ipa) == pa)
}

impl GuestMemory for Memory {
    fn page(&self, ipa: Ipa) -> Option<Pa> {
        self.look();
        Memory::holds(ipa.0, PAGE_SIZE).then(|| Pa(machine(ipa.0)))
    }

    fn words(&self, ipa: Ipa, count: usize) -> Option<&[AtomicU64]> {
        self.look();
        assert!(count <= WORDS as usize, "more than a page of words");
        if !Memory::holds(ipa.0, 8 * count as u64) || !ipa.is_aligned(8) {
            return None;
        }
        assert!(ipa.offset() + 8 * count as u64 <= PAGE_SIZE, "across a page's end");
        self.words.get(((ipa.0 - RAM) / 8) as usize..)?.get(..count)
    }
}
