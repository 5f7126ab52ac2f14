//! The machine as the TEE's logic uses it: non-secure RAM, random numbers, time.

use super::cpu;
use crate::nexus::ns_ram::NsRange;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use core::arch::asm;
use core::time::Duration;
use zerocopy::FromBytes;

/// The machine. All of it is in registers and fixed addresses.
pub struct Machine;

impl Machine {
    /// Copies non-secure bytes into the TEE. They may change meanwhile: each is read exactly once.
    pub fn read(&self, range: NsRange, into: &mut [u8]) {
        assert_eq!(range.len(), into.len());
        let from = range.pa() as *const u8;
        if (from as usize).is_multiple_of(8)
            && let Ok(words) = <[u64]>::mut_from_bytes(into)
        {
            for (n, word) in words.iter_mut().enumerate() {
                // SAFETY: the range is as long as `into`, and is non-secure RAM, identity-mapped for reading and writing
                // and for nothing else of ours; volatile, because others write to it at any time.
                *word = unsafe { from.cast::<u64>().add(n).read_volatile() };
            }
            return;
        }
        for (n, byte) in into.iter_mut().enumerate() {
            // SAFETY: as above.
            *byte = unsafe { from.add(n).read_volatile() };
        }
    }

    /// Copies bytes of the TEE to non-secure memory.
    pub fn write(&self, range: NsRange, from: &[u8]) {
        assert_eq!(range.len(), from.len());
        let to = range.pa() as *mut u8;
        if (to as usize).is_multiple_of(8)
            && let Ok(words) = <[u64]>::ref_from_bytes(from)
        {
            for (n, word) in words.iter().enumerate() {
                // SAFETY: as in `read`.
                unsafe { to.cast::<u64>().add(n).write_volatile(*word) };
            }
            return;
        }
        for (n, byte) in from.iter().enumerate() {
            // SAFETY: as in `read`.
            unsafe { to.add(n).write_volatile(*byte) };
        }
    }

    /// Whether the CPU makes random numbers.
    pub fn has_random(&self) -> bool {
        cpu::has_rndr()
    }

    /// A random number; `None` if the CPU has none ready.
    pub fn random(&self) -> Option<u64> {
        if !self.has_random() {
            return None;
        }
        let (number, ready): (u64, u64);
        // SAFETY: the CPU has the register RNDR, by its encoding since the assembler's baseline doesn't know its name.
        // NZCV is 0b0100 if there was no number (Arm ARM D24.2.156).
        unsafe { asm!("mrs {0}, s3_3_c2_c4_0", "cset {1}, ne", out(reg) number, out(reg) ready, options(nostack)) };
        (ready != 0).then_some(number)
    }

    /// Time since the machine started.
    pub fn uptime(&self) -> Duration {
        let (ticks, frequency) = (CNTPCT_EL0.get(), CNTFRQ_EL0.get().max(1));
        let nanoseconds = u128::from(ticks % frequency) * 1_000_000_000 / u128::from(frequency);
        Duration::new(ticks / frequency, nanoseconds as u32)
    }
}
