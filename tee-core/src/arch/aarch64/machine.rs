// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine as the TEE's logic uses it: non-secure RAM, random numbers, time.

use super::cpu;
use crate::memory::ns_ram::NsRange;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTPCT_EL0, Readable};
use core::arch::asm;
use core::time::Duration;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// The machine. All of it is in registers and fixed addresses.
pub struct Machine;

impl Machine {
    /// Copies non-secure bytes into the TEE. They may change meanwhile: each is read exactly once.
    #[inline]
    pub fn read(&self, range: NsRange, into: &mut [u8]) {
        assert_eq!(range.len(), into.len());
        let _ = load::<u64>(range, into) || load::<u32>(range, into) || load::<u8>(range, into);
    }

    /// Copies bytes of the TEE to non-secure memory.
    #[inline]
    pub fn write(&self, range: NsRange, from: &[u8]) {
        assert_eq!(range.len(), from.len());
        let _ = store::<u64>(range, from) || store::<u32>(range, from) || store::<u8>(range, from);
    }

    /// Says whether the CPU makes random numbers.
    pub fn has_random(&self) -> bool {
        cpu::has_rndr()
    }

    /// Returns a random number; `None` if the CPU has none ready.
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

    /// Returns the time since the machine started.
    pub fn uptime(&self) -> Duration {
        let (ticks, frequency) = (CNTPCT_EL0.get(), CNTFRQ_EL0.get().max(1));
        let nanoseconds = u128::from(ticks % frequency) * 1_000_000_000 / u128::from(frequency);
        Duration::new(ticks / frequency, nanoseconds as u32)
    }
}

/// Copies in units of `T` if both sides are made of them; whether they are.
#[inline(always)]
fn load<T: FromBytes + IntoBytes + KnownLayout>(range: NsRange, into: &mut [u8]) -> bool {
    let from = range.pa() as *const T;
    match <[T]>::mut_from_bytes(into) {
        Ok(units) if from.is_aligned() => {
            for (n, unit) in units.iter_mut().enumerate() {
                // SAFETY: the range is as long as `into` (`Machine::read`), and is non-secure RAM, identity-mapped for
                // reading and writing and for nothing else of ours; volatile, because others write to it at any time.
                *unit = unsafe { from.add(n).read_volatile() };
            }
            true
        }
        _ => false,
    }
}

/// Stores in units of `T` if both sides are made of them; whether they are.
#[inline(always)]
fn store<T: FromBytes + Immutable + KnownLayout + Copy>(range: NsRange, from: &[u8]) -> bool {
    let to = range.pa() as *mut T;
    match <[T]>::ref_from_bytes(from) {
        Ok(units) if to.is_aligned() => {
            for (n, unit) in units.iter().enumerate() {
                // SAFETY: as in `load`.
                unsafe { to.add(n).write_volatile(*unit) };
            }
            true
        }
        _ => false,
    }
}
