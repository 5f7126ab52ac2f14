// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL2's stacks: one for each CPU, and one for last words.
//!
//! A guest's exit starts at the top of its CPU's stack and has left it when the guest is entered again, so nothing is
//! kept on it between exits. Below each stack is a page that is not mapped: whoever needs more than there is stops
//! there instead of writing over somebody's data.

use crate::address::PAGE_SIZE;
use core::cell::UnsafeCell;
use shared_abi::layout::Range;

/// Bytes of stack for each CPU. Booting takes half: a VM is made on the stack before it gets its place. With what is
/// kept of its buffers for the trace it is larger.
pub const SIZE: usize = if cfg!(feature = "trace") { 60 << 10 } else { 32 << 10 };
/// The unmapped page below.
const GUARD: usize = PAGE_SIZE as usize;
/// A stack with its guard.
pub const WITH_GUARD: usize = GUARD + SIZE;
/// Enough to say what went wrong.
pub const EMERGENCY_SIZE: usize = 8 << 10;

/// Bytes that SP points into, aligned as translation wants the guard and AAPCS64 §6.4.5.1 the stack.
#[repr(C, align(4096))]
pub struct Stack<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: no Rust code refers to the bytes; the CPU whose SP points into them does.
unsafe impl<const BYTES: usize> Sync for Stack<BYTES> {}

/// The first CPU's, with its guard.
pub static BOOT: Stack<WITH_GUARD> = Stack(UnsafeCell::new([0; WITH_GUARD]));
/// Where an exception of EL2's own is reported from: its cause may be that the stack is used up.
pub static EMERGENCY: Stack<EMERGENCY_SIZE> = Stack(UnsafeCell::new([0; EMERGENCY_SIZE]));

/// The stacks of all CPUs.
#[derive(Clone, Copy)]
pub struct Stacks {
    /// Memory for those of all CPUs but the first.
    others: Range,
}

impl Stacks {
    /// Returns how many bytes the stacks of `cpus` CPUs take beside the first one's.
    pub fn size(cpus: usize) -> u64 {
        (cpus.saturating_sub(1) * WITH_GUARD) as u64
    }

    /// Makes the stacks, of page-aligned memory of [`Stacks::size`].
    pub fn new(others: Range) -> Self {
        Self { others }
    }

    /// Returns the address after the stack's last byte: where a CPU's SP begins.
    pub fn top(&self, cpu: usize) -> u64 {
        self.guard(cpu).base + WITH_GUARD as u64
    }

    /// Returns the page below a CPU's stack.
    pub fn guard(&self, cpu: usize) -> Range {
        let base = match cpu.checked_sub(1) {
            None => BOOT.0.get() as u64,
            Some(n) => self.others.base + (n * WITH_GUARD) as u64,
        };
        Range::new(base, GUARD as u64)
    }
}
