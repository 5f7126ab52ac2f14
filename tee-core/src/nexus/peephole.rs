// SPDX-License-Identifier: MIT OR Apache-2.0
//! A page's width of address space for each CPU, through which it reaches a secure page that is mapped nowhere.
//!
//! The pages of the pool and the translation tables of partitions are not mapped while nobody works on them. The
//! peepholes are the last entry of every partition's root table, and of the one that stands when none is selected.
//!
//! They are the TEE's only state of a CPU besides its stack. `percore` is not used for them: its value would have to be
//! the translation table itself, which the CPUs' table walks read as one page.
#![expect(unsafe_code, reason = "translation tables")]

use crate::arch::tables::{PAGE_ATTRIBUTES, PEEPHOLE_TABLE, PEEPHOLES};
use crate::arch::{Machine, Masked, cpu_index};
use crate::memory::pages::PAGE_SIZE;

/// Runs `f` on the page at physical address `pa`. What it writes to a translation table is seen by the walks that come
/// after it.
///
/// # Safety
///
/// The page must be secure RAM of the TEE that nothing else uses while `f` runs.
pub unsafe fn with<R>(machine: &Machine, pa: u64, f: impl FnOnce(&mut [u64; PAGE_SIZE / 8]) -> R) -> R {
    let _masked = Masked::new();
    let cpu = cpu_index();
    let va = PEEPHOLES + cpu * PAGE_SIZE;
    let entry = PEEPHOLE_TABLE.entry(cpu);
    // SAFETY: the entry is this CPU's own, and was invalid: no invalidation is needed before it is used.
    unsafe { machine.set_entry(entry, pa | PAGE_ATTRIBUTES) };
    machine.dsb_ishst();
    machine.isb();
    // SAFETY: mapped just now; the caller says nobody else uses it. Any bytes are a valid array of numbers.
    let result = f(unsafe { &mut *machine.at(va, PAGE_SIZE).cast() });
    // SAFETY: the reference is gone. Only this CPU ever uses the address, so the invalidation is local.
    unsafe { machine.set_entry(entry, 0) };
    machine.dsb_ishst();
    machine.tlbi_vaae1(va);
    machine.dsb_nsh();
    machine.isb();
    result
}

/// Zeroes the page at physical address `pa`.
///
/// # Safety
///
/// The page must be secure RAM of the TEE that nothing else uses.
pub unsafe fn zero(machine: &Machine, pa: u64) {
    // SAFETY: promised by the caller.
    unsafe { machine.zero(pa, |zero| with(machine, pa, zero)) };
}
