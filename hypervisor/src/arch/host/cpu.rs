// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU of the fake machine.

use super::machine::{Machine, elsewhere, with, with_cpu};
use core::sync::atomic::{AtomicU64, Ordering};

/// Sets it up for guests.
pub fn init(_hardened: bool) {}

/// Waits for an interrupt.
pub fn wait_for_interrupt() {
    if with(|machine| !machine.is_interrupted() && machine.wakes().is_none()) {
        elsewhere();
    }
    with(Machine::sleep);
}

/// Lets another CPU run.
pub fn relax() {
    core::hint::spin_loop();
}

/// Returns this CPU's affinity.
pub fn affinity() -> u64 {
    with(|machine| machine.current as u64)
}

/// Returns the address of what is this CPU's own.
pub fn own() -> usize {
    with_cpu(|cpu| cpu.own)
}

/// Sets it.
///
/// # Safety
///
/// Whoever asks for it must find there what it expects.
pub unsafe fn set_own(address: usize) {
    with_cpu(|cpu| cpu.own = address);
}

/// Returns the ID registers of CRm 1 to 7, by op2.
pub fn id_registers() -> [[u64; 8]; 7] {
    [[0; 8]; 7]
}

/// Returns the system count.
pub fn count() -> u64 {
    super::timer::now()
}

/// Returns a number that differs each time.
pub fn random() -> u64 {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    NEXT.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
}

/// Drops what another vCPU of the same VM may have left here.
pub fn flush_guest_tlb() {
    with_cpu(|cpu| cpu.flushes += 1);
}

/// Puts memory where everybody sees it, which it is.
pub fn clean_to_memory(_start: u64, _size: u64) {}

/// Writes zeroes over `[start, start + size)`, which takes its time.
///
/// # Safety
///
/// It must be memory to which nobody refers.
pub unsafe fn zero(start: u64, size: u64) {
    let start: *mut u8 = core::ptr::with_exposed_provenance_mut(start as usize);
    // SAFETY: as the caller promises.
    unsafe { start.write_bytes(0, size as usize) };
    with_cpu(|cpu| cpu.now += 8 * size);
}
