// SPDX-License-Identifier: MIT OR Apache-2.0
//! Byte order: data as big-endian at EL1 (SCTLR_EL1.EE) and at EL0 (E0E). Instructions are little-endian always.

use super::snippet::{Ran, Snippet};
use super::sysreg::write;
use super::tables::{FIRST_TABLE, FIRST_TABLE_BIG, SCTLR};
use core::sync::atomic::{AtomicU64, Ordering::SeqCst};

/// SCTLR_EL1.EE and E0E.
const EE: u64 = 1 << 25;
const E0E: u64 = 1 << 24;
const M: u64 = 1;

/// SCTLR_EL1 of a big-endian snippet, to which the vectors, who are not, return.
pub static SCTLR_BIG: AtomicU64 = AtomicU64::new(0);

/// Turns to big-endian data, with the MMU off or on, and back; to be the first and the last lines of a snippet. x24 to
/// x28 are [`registers`].
macro_rules! big_endian {
    ($($line:expr),+ $(,)?) => {
        $crate::arch::snippet::snippet!(
            "msr sctlr_el1, x24",
            "isb",
            "msr ttbr0_el1, x26",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            "msr sctlr_el1, x25",
            "isb",
            $($line,)+
            "msr sctlr_el1, x24",
            "isb",
            "msr ttbr0_el1, x27",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            "msr sctlr_el1, x28",
            "isb",
        )
    };
}

pub(crate) use big_endian;

/// Runs a snippet of `big_endian!` with these registers, the MMU off or on.
pub fn run_big_endian(snippet: Snippet, mmu: bool, registers: &[u64]) -> Ran {
    let mut all = [0; super::snippet::REGISTERS];
    all[..registers.len()].copy_from_slice(registers);
    let big = SCTLR & !M | EE | if mmu { M } else { 0 };
    SCTLR_BIG.store(big, SeqCst);
    let table = if mmu { &FIRST_TABLE_BIG } else { &FIRST_TABLE };
    all[24..].copy_from_slice(&[SCTLR & !M, big, table.address(), FIRST_TABLE.address(), SCTLR]);
    snippet.run(&all)
}

/// Does `work` while data at EL0 is big-endian.
pub fn with_big_endian_el0(work: impl FnOnce()) {
    write!("sctlr_el1", SCTLR | E0E);
    work();
    write!("sctlr_el1", SCTLR);
}
