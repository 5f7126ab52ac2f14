// SPDX-License-Identifier: MIT OR Apache-2.0
//! One world's registers on one CPU.
//!
//! Plain structs whose offsets the assembly in `arch/` knows; the assertions at the end hold both together. Assembly
//! saves and restores, Rust decides.

use super::call::Answer;
use core::mem::offset_of;
use shared_abi::smccc::FunctionId;

/// The two worlds that the monitor switches between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum World {
    /// EL2 and EL1, non-secure.
    Normal,
    /// Secure EL1: the TEE.
    Secure,
}

/// Where a world begins, as PSTATE has it: with the level's own stack pointer, all interrupts masked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Level {
    /// Secure EL1: the TEE.
    El1 = 0x3C5,
    /// EL2: the normal world (PSCI 1.1 §6.4).
    El2 = 0x3C9,
}

/// System registers of EL1 and EL0 that both worlds use and the hardware has once.
///
/// Which ones: everything that software at EL1 or EL0 of one world can write and that acts in, or can be read by, the
/// other. Not among them, and why:
///
/// - registers of EL2: secure EL1 cannot reach them (SCR_EL3.EEL2 is 0, so there is no secure EL2);
/// - CNTV_*, CNTP_*: the normal world's. The TEE has the secure physical timer CNTPS_*, which only it can reach;
/// - pointer authentication keys, MTE tags, SVE and SME state, SCXTNUM_ELx, TPIDR2_EL0, TCR2_EL1 and their like:
///   SCR_EL3 and CPTR_EL3 give them to the normal world alone (`arch::el3`), the TEE's accesses trap;
/// - V0 to V31, FPCR, FPSR: no layer of ours touches them, and OP-TEE saves what it uses (but for what lies above bit
///   127 where the CPU has SVE: TF-A's dispatcher leaves that as well, unless built to switch SVE);
/// - debug and PMU registers: MDCR_EL3 disables self-hosted debug and counting in the secure world, so what the normal
///   world writes there has no effect on the TEE, and the TEE does not write them;
/// - ACTLR_EL1, AMAIR_EL1, AFSR0_EL1, AFSR1_EL1: what is in them is the implementation's choice, and in the CPUs that
///   this machine can have (Cortex-A53, -A57, -A72, QEMU's `max`) nothing is: they read as constants;
/// - AArch32 registers (SPSR_abt, IFSR32_EL2, …): reachable from EL2 and from AArch32 EL1, and the TEE is neither.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct El1Registers {
    /// SCTLR_EL1.
    pub sctlr: u64,
    /// CPACR_EL1.
    pub cpacr: u64,
    /// TTBR0_EL1.
    pub ttbr0: u64,
    /// TTBR1_EL1.
    pub ttbr1: u64,
    /// TCR_EL1.
    pub tcr: u64,
    /// MAIR_EL1.
    pub mair: u64,
    /// VBAR_EL1.
    pub vbar: u64,
    /// CONTEXTIDR_EL1.
    pub contextidr: u64,
    /// SP_EL0.
    pub sp_el0: u64,
    /// SP_EL1.
    pub sp_el1: u64,
    /// TPIDR_EL1.
    pub tpidr_el1: u64,
    /// TPIDR_EL0.
    pub tpidr_el0: u64,
    /// TPIDRRO_EL0.
    pub tpidrro_el0: u64,
    /// CNTKCTL_EL1: OP-TEE opens the counter to its EL0 with it.
    pub cntkctl: u64,

    // From here on a register means something only between an exception and its return, or between two instructions
    // of one function. The TEE is entered at its vector table and leaves by an SMC, never in between: its values need
    // neither saving nor restoring. The normal world can be left anywhere (by a secure interrupt), so its are kept.
    /// ELR_EL1.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// PAR_EL1.
    pub par: u64,
    /// CSSELR_EL1.
    pub csselr: u64,
}

/// SCTLR_EL1 with MMU and caches off: the bits that are RES1 (Arm ARM D19.2.128).
const SCTLR_EL1_OFF: u64 = 0x30D0_0800;

/// One world's registers on one CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(16))]
pub struct Context {
    /// x0 to x30.
    pub gpr: [u64; 31],
    /// Where the world goes on: ELR_EL3.
    pub elr: u64,
    /// With which PSTATE: SPSR_EL3. Never EL3's: no world returns into the monitor.
    spsr: u64,
    /// SCR_EL3 while it runs. After boot the TEE's alone changes, while it is waited for.
    scr: u64,
    /// CPTR_EL3 while it runs. Never changes after boot.
    cptr: u64,
    /// ISR_EL1 when it was entered last. The TEE's alone is written.
    pub errors: u64,
    /// What both worlds share.
    pub el1: El1Registers,
}

impl El1Registers {
    const ZERO: Self = Self {
        sctlr: 0,
        cpacr: 0,
        ttbr0: 0,
        ttbr1: 0,
        tcr: 0,
        mair: 0,
        vbar: 0,
        contextidr: 0,
        sp_el0: 0,
        sp_el1: 0,
        tpidr_el1: 0,
        tpidr_el0: 0,
        tpidrro_el0: 0,
        cntkctl: 0,
        elr: 0,
        spsr: 0,
        esr: 0,
        far: 0,
        par: 0,
        csselr: 0,
    };
}

impl Context {
    /// Registers of a world that has not begun.
    pub const ZERO: Self = Self { gpr: [0; 31], elr: 0, spsr: 0, scr: 0, cptr: 0, errors: 0, el1: El1Registers::ZERO };

    /// Prepares a world that begins at `entry`, every register zero that is not an argument.
    pub fn start(&mut self, entry: u64, level: Level, arguments: &[u64]) {
        self.gpr = [0; 31];
        self.gpr[..arguments.len()].copy_from_slice(arguments);
        self.elr = entry;
        self.spsr = level as u64;
        self.el1 = El1Registers { sctlr: SCTLR_EL1_OFF, ..El1Registers::default() };
    }

    /// Sets what EL3 lets the world do.
    pub const fn control(&mut self, scr: u64, cptr: u64) {
        (self.scr, self.cptr) = (scr, cptr);
    }

    /// Reads the id and arguments of a call. Of an SMC32 call bits 63:32 are not part of any argument, whatever the
    /// caller left there (SMCCC 1.4 §3.1).
    #[inline(always)]
    pub fn arguments(&self, id: FunctionId) -> [u64; 8] {
        let mask = if id.is_64() { u64::MAX } else { 0xFFFF_FFFF };
        let [_, x1, x2, x3, x4, x5, x6, x7, ..] = self.gpr;
        [u64::from(id.0), x1 & mask, x2 & mask, x3 & mask, x4 & mask, x5 & mask, x6 & mask, x7 & mask]
    }

    /// Puts a call's results where the caller looks for them.
    #[inline(always)]
    pub fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Nothing => {}
            Answer::One(x0) => self.gpr[0] = x0,
            Answer::Two(results) => self.gpr[..2].copy_from_slice(&results),
            Answer::Four(results) => self.gpr[..4].copy_from_slice(&results),
        }
    }
}

// What the assembly in arch/ relies on.
const _: () = {
    assert!(offset_of!(Context, gpr) == 0);
    assert!(offset_of!(Context, elr) == 248);
    assert!(offset_of!(Context, spsr) == 256);
    assert!(offset_of!(Context, scr) == 264);
    assert!(offset_of!(Context, cptr) == 272);
    assert!(offset_of!(Context, errors) == 280);
    assert!(offset_of!(Context, el1) == 288);
    assert!(offset_of!(El1Registers, sctlr) == 0);
    assert!(offset_of!(El1Registers, ttbr0) == 16);
    assert!(offset_of!(El1Registers, tcr) == 32);
    assert!(offset_of!(El1Registers, vbar) == 48);
    assert!(offset_of!(El1Registers, sp_el0) == 64);
    assert!(offset_of!(El1Registers, tpidr_el1) == 80);
    assert!(offset_of!(El1Registers, tpidrro_el0) == 96);
    assert!(offset_of!(El1Registers, elr) == 112);
    assert!(offset_of!(El1Registers, esr) == 128);
    assert!(offset_of!(El1Registers, par) == 144);
    assert!(size_of::<El1Registers>() == 160);
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_begins_at_its_level_with_its_arguments_and_nothing_of_before() {
        for (level, pstate) in [(Level::El1, 0x3C5), (Level::El2, 0x3C9)] {
            let mut context = Context { gpr: [0x5EC; 31], elr: 1, spsr: 2, errors: 5, ..Context::ZERO };
            context.control(3, 4);
            context.el1.ttbr0 = 0x5EC;
            context.start(0x6000_0000, level, &[7, 8]);
            assert_eq!((context.elr, context.spsr, context.scr, context.cptr), (0x6000_0000, pstate, 3, 4));
            assert_eq!((&context.gpr[..2], &context.gpr[2..]), (&[7, 8][..], &[0; 29][..]));
            assert_eq!(context.el1, El1Registers { sctlr: SCTLR_EL1_OFF, ..El1Registers::ZERO }, "the MMU is off");
        }
    }

    #[test]
    fn smc32_arguments_are_32_bits_in_x1_to_x7() {
        let mut context = Context::default();
        context.gpr[..8].fill(0xFFFF_FFFF_0000_0001);
        let narrow = context.arguments(FunctionId(0xB200_0001));
        assert_eq!(narrow, [0xB200_0001, 1, 1, 1, 1, 1, 1, 1]);
        let wide = context.arguments(FunctionId(0xF200_0001));
        assert_eq!(wide[1..], [0xFFFF_FFFF_0000_0001; 7]);
    }
}
