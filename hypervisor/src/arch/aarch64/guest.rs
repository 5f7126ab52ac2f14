// SPDX-License-Identifier: MIT OR Apache-2.0
//! The guest that has just left: why, and what of it is looked at and changed before it goes on. When it accesses a
//! device that is its byte order, and if need be its tables, its stack pointer and vector registers.

use super::sysreg::{isb, read, write};
use crate::arch::pstate;

const MODE: u64 = 0xF;
const EL1H: u64 = 5;

/// Returns why the guest left: ESR_EL2.
#[inline(always)]
pub fn esr() -> u64 {
    read!("esr_el2")
}

/// Returns the virtual address of a fault, FAR_EL2.
#[inline(always)]
pub fn far() -> u64 {
    read!("far_el2")
}

/// Returns the page of a stage 2 fault, HPFAR_EL2.
#[inline(always)]
pub fn hpfar() -> u64 {
    read!("hpfar_el2")
}

/// Returns where the guest goes on, ELR_EL2.
#[inline(always)]
pub fn elr() -> u64 {
    read!("elr_el2")
}

/// Sets where the guest goes on.
#[inline(always)]
pub fn set_elr(value: u64) {
    write!("elr_el2", value);
}

/// Returns the guest's PSTATE, SPSR_EL2.
#[inline(always)]
pub fn spsr() -> u64 {
    read!("spsr_el2")
}

/// Sets the guest's PSTATE.
#[inline(always)]
pub fn set_spsr(value: u64) {
    write!("spsr_el2", value);
}

/// Returns where its exceptions go, VBAR_EL1.
#[inline(always)]
pub fn vbar() -> u64 {
    read!("vbar_el1")
}

/// Returns SCTLR_EL1.
#[inline(always)]
pub fn sctlr() -> u64 {
    read!("sctlr_el1")
}

/// Sets what it finds of an exception at EL1: ELR_EL1, SPSR_EL1, ESR_EL1, and FAR_EL1 if that says something.
pub fn set_exception(elr: u64, spsr: u64, esr: u64, far: Option<u64>) {
    write!("elr_el1", elr);
    write!("spsr_el1", spsr);
    write!("esr_el1", esr);
    if let Some(far) = far {
        write!("far_el1", far);
    }
}

/// Says whether its data is big-endian.
#[inline(always)]
pub fn is_big_endian() -> bool {
    pstate::is_big_endian(spsr(), sctlr())
}

/// Follows the guest's tables, for an access as the one that was interrupted: where they lead, `None` if to nowhere.
pub fn translate(address: u64, is_write: bool) -> Option<u64> {
    const FAULT: u64 = 1;
    // PAR_EL1 is the guest's.
    let kept = read!("par_el1");
    macro_rules! at {
        ($stage:literal) => {
            // SAFETY: the translation of an address by the guest's own tables changes PAR_EL1 alone.
            unsafe {
                core::arch::asm!(concat!("at ", $stage, ", {}"), in(reg) address, options(nostack, preserves_flags))
            }
        };
    }
    match (spsr() & MODE == 0, is_write) {
        (true, false) => at!("s1e0r"),
        (true, true) => at!("s1e0w"),
        (false, false) => at!("s1e1r"),
        (false, true) => at!("s1e1w"),
    }
    isb();
    let par = read!("par_el1");
    write!("par_el1", kept);
    (par & FAULT == 0).then_some(par & 0xF_FFFF_FFFF_F000 | address & 0xFFF)
}

/// Returns the stack pointer that the guest used: its mode says which one.
pub fn stack_pointer() -> u64 {
    if spsr() & MODE == EL1H { read!("sp_el1") } else { read!("sp_el0") }
}

/// Sets it.
pub fn set_stack_pointer(value: u64) {
    if spsr() & MODE == EL1H {
        write!("sp_el1", value);
    } else {
        write!("sp_el0", value);
    }
}

macro_rules! each_vector {
    ($register:expr, $do:ident) => {
        match $register & 31 {
            0 => $do!("q0"),
            1 => $do!("q1"),
            2 => $do!("q2"),
            3 => $do!("q3"),
            4 => $do!("q4"),
            5 => $do!("q5"),
            6 => $do!("q6"),
            7 => $do!("q7"),
            8 => $do!("q8"),
            9 => $do!("q9"),
            10 => $do!("q10"),
            11 => $do!("q11"),
            12 => $do!("q12"),
            13 => $do!("q13"),
            14 => $do!("q14"),
            15 => $do!("q15"),
            16 => $do!("q16"),
            17 => $do!("q17"),
            18 => $do!("q18"),
            19 => $do!("q19"),
            20 => $do!("q20"),
            21 => $do!("q21"),
            22 => $do!("q22"),
            23 => $do!("q23"),
            24 => $do!("q24"),
            25 => $do!("q25"),
            26 => $do!("q26"),
            27 => $do!("q27"),
            28 => $do!("q28"),
            29 => $do!("q29"),
            30 => $do!("q30"),
            _ => $do!("q31"),
        }
    };
}

/// Returns one of the guest's vector registers.
pub fn vector(register: u8) -> u128 {
    let mut value = 0u128;
    macro_rules! store {
        ($name:literal) => {
            // SAFETY: 16 bytes; EL2's code, built for soft floats, has nothing in these registers.
            unsafe {
                core::arch::asm!(
                    ".arch_extension fp\n.arch_extension simd",
                    concat!("str ", $name, ", [{}]"),
                    in(reg) &raw mut value,
                    options(nostack, preserves_flags)
                )
            }
        };
    }
    each_vector!(register, store);
    value
}

/// Sets one.
pub fn set_vector(register: u8, value: u128) {
    macro_rules! load {
        ($name:literal) => {
            // SAFETY: as in `vector`.
            unsafe {
                core::arch::asm!(
                    ".arch_extension fp\n.arch_extension simd",
                    concat!("ldr ", $name, ", [{}]"),
                    in(reg) &raw const value,
                    options(nostack, preserves_flags)
                )
            }
        };
    }
    each_vector!(register, load);
}
