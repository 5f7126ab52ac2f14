// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest that has just left: what the test says of it.
#![forbid(unsafe_code)]

use super::machine::with_cpu;
use crate::arch::pstate;

/// Returns ESR_EL2.
pub fn esr() -> u64 {
    with_cpu(|cpu| cpu.syndrome[0])
}

/// Returns FAR_EL2.
pub fn far() -> u64 {
    with_cpu(|cpu| cpu.syndrome[1])
}

/// Returns HPFAR_EL2.
pub fn hpfar() -> u64 {
    with_cpu(|cpu| cpu.syndrome[2])
}

/// Returns ELR_EL2.
pub fn elr() -> u64 {
    with_cpu(|cpu| cpu.guest.pc)
}

/// Sets where the guest goes on.
pub fn set_elr(value: u64) {
    with_cpu(|cpu| cpu.guest.pc = value);
}

/// Returns SPSR_EL2.
pub fn spsr() -> u64 {
    with_cpu(|cpu| cpu.guest.pstate)
}

/// Sets the guest's PSTATE.
pub fn set_spsr(value: u64) {
    with_cpu(|cpu| cpu.guest.pstate = value);
}

/// Returns VBAR_EL1.
pub fn vbar() -> u64 {
    with_cpu(|cpu| cpu.guest.vbar)
}

/// Returns SCTLR_EL1.
pub fn sctlr() -> u64 {
    with_cpu(|cpu| cpu.guest.sctlr)
}

/// Sets what it finds of an exception at EL1.
pub fn set_exception(elr: u64, spsr: u64, esr: u64, far: Option<u64>) {
    with_cpu(|cpu| {
        let before = cpu.guest.exception[3];
        cpu.guest.exception = [elr, spsr, esr, far.unwrap_or(before)];
    });
}

/// Says whether its data is big-endian.
pub fn is_big_endian() -> bool {
    pstate::is_big_endian(spsr(), sctlr())
}

/// Follows the guest's tables: it has none.
pub fn translate(address: u64, _is_write: bool) -> Option<u64> {
    Some(address)
}

fn mode() -> usize {
    usize::from(spsr() & 0xF == 5)
}

/// Returns the stack pointer that it used.
pub fn stack_pointer() -> u64 {
    let mode = mode();
    with_cpu(|cpu| cpu.guest.stacks[mode])
}

/// Sets it.
pub fn set_stack_pointer(value: u64) {
    let mode = mode();
    with_cpu(|cpu| cpu.guest.stacks[mode] = value);
}

/// Returns one of its vector registers.
pub fn vector(register: u8) -> u128 {
    with_cpu(|cpu| cpu.guest.vectors[usize::from(register & 31)])
}

/// Sets one.
pub fn set_vector(register: u8, value: u128) {
    with_cpu(|cpu| cpu.guest.vectors[usize::from(register & 31)] = value);
}
