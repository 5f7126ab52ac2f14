// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each CPU's guard: where the exception vector finds the stack of a guarded instruction.

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{Readable, TPIDR_EL1, Writeable};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use shared_abi::layout::MAX_CPUS;

/// The first word is the guard, which only assembly touches while it is set; the second one the CPU's number.
#[repr(C)]
pub(super) struct Guard {
    stack: AtomicU64,
    cpu: AtomicU64,
}

/// Bytes of one.
pub(super) const SIZE: usize = size_of::<Guard>();
const _: () = assert!(SIZE.is_power_of_two());

/// Each CPU's.
pub(super) static GUARDS: [Guard; MAX_CPUS] =
    [const { Guard { stack: AtomicU64::new(0), cpu: AtomicU64::new(0) } }; MAX_CPUS];

/// Gives the CPU that calls this its guard and its number.
pub fn install(cpu: usize) {
    let guard = &GUARDS[cpu % MAX_CPUS];
    guard.stack.store(0, Relaxed);
    guard.cpu.store(cpu as u64, Relaxed);
    TPIDR_EL1.set(core::ptr::from_ref(guard).expose_provenance() as u64);
    barrier::isb(barrier::SY);
}

/// Returns the number of the CPU that calls this.
pub fn cpu() -> usize {
    let mine = TPIDR_EL1.get();
    GUARDS
        .iter()
        .find(|guard| core::ptr::from_ref(*guard).addr() as u64 == mine)
        .map_or(0, |guard| guard.cpu.load(Relaxed) as usize)
}
