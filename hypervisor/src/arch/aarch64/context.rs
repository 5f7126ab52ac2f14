// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a CPU is a vCPU's while it is loaded, beside x0 to x30: EL1's and EL0's registers, FP/SIMD, the pointer
//! authentication keys. Saved when the CPU takes up another vCPU, not at every exit.
//!
//! What is not here is hidden from guests ([`crate::id_registers`]) and traps ([`super::cpu`]). The debug registers are
//! copied for a vCPU that has switched one on only ([`super::debug`]).

use super::cpu::{Features, features};
use super::sysreg::{read, write};

/// Declares the plain registers: one field each, saved and restored in this order.
macro_rules! registers {
    ($($field:ident = $name:literal,)*) => {
        #[derive(Clone, Copy, Default)]
        #[repr(C)]
        struct Registers { $($field: u64,)* }

        impl Registers {
            fn save(&mut self) { $(self.$field = read!($name);)* }
            fn restore(&self) { $(write!($name, self.$field);)* }
        }
    };
}

registers! {
    elr_el2 = "elr_el2",
    spsr_el2 = "spsr_el2",
    vmpidr = "vmpidr_el2",
    sp_el0 = "sp_el0",
    sp_el1 = "sp_el1",
    elr_el1 = "elr_el1",
    spsr_el1 = "spsr_el1",
    sctlr = "sctlr_el1",
    cpacr = "cpacr_el1",
    ttbr0 = "ttbr0_el1",
    ttbr1 = "ttbr1_el1",
    tcr = "tcr_el1",
    mair = "mair_el1",
    amair = "amair_el1",
    vbar = "vbar_el1",
    esr = "esr_el1",
    far = "far_el1",
    afsr0 = "afsr0_el1",
    afsr1 = "afsr1_el1",
    contextidr = "contextidr_el1",
    tpidr_el0 = "tpidr_el0",
    tpidrro = "tpidrro_el0",
    tpidr_el1 = "tpidr_el1",
    cntkctl = "cntkctl_el1",
    cntv_cval = "cntv_cval_el0",
    cntv_ctl = "cntv_ctl_el0",
    cntp_cval = "cntp_cval_el0",
    cntp_ctl = "cntp_ctl_el0",
    par = "par_el1",
    csselr = "csselr_el1",
}

/// Declares registers that not every CPU has, by their encodings.
macro_rules! keys {
    ($($index:literal = $name:literal,)*) => {
        fn save_keys(keys: &mut [u64; 10]) { $(keys[$index] = read!($name);)* }
        fn restore_keys(keys: &[u64; 10]) { $(write!($name, keys[$index]);)* }
    };
}

// APIA, APIB, APDA, APDB, APGA, low and high.
keys! {
    0 = "s3_0_c2_c1_0",
    1 = "s3_0_c2_c1_1",
    2 = "s3_0_c2_c1_2",
    3 = "s3_0_c2_c1_3",
    4 = "s3_0_c2_c2_0",
    5 = "s3_0_c2_c2_1",
    6 = "s3_0_c2_c2_2",
    7 = "s3_0_c2_c2_3",
    8 = "s3_0_c2_c3_0",
    9 = "s3_0_c2_c3_1",
}

#[derive(Clone, Copy)]
#[repr(C, align(16))]
struct Simd {
    v: [u128; 32],
    fpcr: u64,
    fpsr: u64,
}

/// The registers of a vCPU that is not loaded.
#[derive(Clone)]
pub struct Context {
    registers: Registers,
    keys: [u64; 10],
    tpidr2: u64,
    simd: Simd,
}

/// SCTLR_EL1 out of reset: MMU and caches off, RES1 bits of Armv8.0 set (Arm ARM D19.2.120).
const SCTLR_RESET: u64 = 0x30D0_0800;
/// EL1h, all interrupts masked.
const SPSR_RESET: u64 = 0x3C5;

impl Context {
    /// Returns a vCPU out of reset, at `entry`, with `mpidr` for its affinity.
    pub fn reset(mpidr: u64, entry: u64) -> Self {
        Self {
            registers: Registers {
                elr_el2: entry,
                spsr_el2: SPSR_RESET,
                sctlr: SCTLR_RESET,
                vmpidr: 1 << 31 | mpidr,
                ..Registers::default()
            },
            keys: [0; 10],
            tpidr2: 0,
            simd: Simd { v: [0; 32], fpcr: 0, fpsr: 0 },
        }
    }

    /// Takes the registers from the CPU.
    pub fn save(&mut self) {
        self.registers.save();
        if features().contains(Features::PAUTH) {
            save_keys(&mut self.keys);
        }
        if features().contains(Features::SME) {
            self.tpidr2 = read!("s3_3_c13_c0_5");
        }
        save_simd(&mut self.simd);
    }

    /// Gives the registers to the CPU.
    pub fn restore(&self) {
        self.registers.restore();
        if features().contains(Features::PAUTH) {
            restore_keys(&self.keys);
        }
        if features().contains(Features::SME) {
            write!("s3_3_c13_c0_5", self.tpidr2);
        }
        if features().contains(Features::RAS) {
            // VDISR_EL2, which is DISR_EL1 to a guest (HCR_EL2.AMO): no virtual SError is ever deferred, but a guest
            // can write to it, and the next one would read that.
            write!("s3_4_c12_c1_1", 0);
        }
        restore_simd(&self.simd);
    }

    /// Says when the first of this vCPU's timers fires; `None` if they are off or masked.
    pub fn timer_deadline(&self) -> Option<u64> {
        const ENABLE: u64 = 1;
        const IMASK: u64 = 2;
        let deadline = |control: u64, value: u64| (control & (ENABLE | IMASK) == ENABLE).then_some(value);
        let registers = &self.registers;
        let timers =
            [deadline(registers.cntv_ctl, registers.cntv_cval), deadline(registers.cntp_ctl, registers.cntp_cval)];
        timers.into_iter().flatten().min()
    }
}

macro_rules! simd {
    ($op:literal) => {
        concat!(
            ".arch_extension fp\n.arch_extension simd\n",
            $op,
            " q0, q1, [{0}, #0]\n",
            $op,
            " q2, q3, [{0}, #32]\n",
            $op,
            " q4, q5, [{0}, #64]\n",
            $op,
            " q6, q7, [{0}, #96]\n",
            $op,
            " q8, q9, [{0}, #128]\n",
            $op,
            " q10, q11, [{0}, #160]\n",
            $op,
            " q12, q13, [{0}, #192]\n",
            $op,
            " q14, q15, [{0}, #224]\n",
            $op,
            " q16, q17, [{0}, #256]\n",
            $op,
            " q18, q19, [{0}, #288]\n",
            $op,
            " q20, q21, [{0}, #320]\n",
            $op,
            " q22, q23, [{0}, #352]\n",
            $op,
            " q24, q25, [{0}, #384]\n",
            $op,
            " q26, q27, [{0}, #416]\n",
            $op,
            " q28, q29, [{0}, #448]\n",
            $op,
            " q30, q31, [{0}, #480]\n",
        )
    };
}

// FPCR and FPSR by their encodings: the assembler of a soft-float target does not know their names.

fn save_simd(simd: &mut Simd) {
    // SAFETY: `v` is 512 bytes, and EL2's code, built for soft floats, holds nothing in these registers.
    unsafe { core::arch::asm!(simd!("stp"), in(reg) &raw mut simd.v, options(nostack, preserves_flags)) };
    simd.fpcr = read!("s3_3_c4_c4_0");
    simd.fpsr = read!("s3_3_c4_c4_1");
}

fn restore_simd(simd: &Simd) {
    // SAFETY: as in `save_simd`.
    unsafe { core::arch::asm!(simd!("ldp"), in(reg) &raw const simd.v, options(nostack, preserves_flags)) };
    write!("s3_3_c4_c4_0", simd.fpcr);
    write!("s3_3_c4_c4_1", simd.fpsr);
}
