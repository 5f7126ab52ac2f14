// SPDX-License-Identifier: MIT OR Apache-2.0
//! What EL3 lets the worlds do: SCR_EL3, CPTR_EL3, MDCR_EL3 and the vector-length limits.
//!
//! The rule: software at NS-EL2 manages every feature that the CPU has, as on a machine without a monitor; the TEE has
//! the base architecture and floating point. A feature whose registers are not switched between the worlds is closed to
//! the TEE, so its accesses trap here (`crate::fault`) and nothing passes from one world to the other through it.

use super::sysreg;
use spin::Once;

/// SCR_EL3 bits (Arm ARM D19.2.117).
mod scr {
    pub(super) const NS: u64 = 1 << 0;
    pub(super) const FIQ: u64 = 1 << 2;
    pub(super) const RES1: u64 = 0b11 << 4;
    pub(super) const HCE: u64 = 1 << 8;
    pub(super) const SIF: u64 = 1 << 9;
    pub(super) const RW: u64 = 1 << 10;
    pub(super) const ST: u64 = 1 << 11;
    pub(super) const APK: u64 = 1 << 16;
    pub(super) const API: u64 = 1 << 17;
    pub(super) const EN_SCXT: u64 = 1 << 25;
    pub(super) const ATA: u64 = 1 << 26;
    pub(super) const FGT_EN: u64 = 1 << 27;
    pub(super) const ECV_EN: u64 = 1 << 28;
    pub(super) const AMVOFF_EN: u64 = 1 << 35;
    pub(super) const EN_AS0: u64 = 1 << 36;
    pub(super) const AD_EN: u64 = 1 << 37;
    pub(super) const HX_EN: u64 = 1 << 38;
    pub(super) const GCS_EN: u64 = 1 << 39;
    pub(super) const EN_TP2: u64 = 1 << 41;
    pub(super) const TCR2_EN: u64 = 1 << 43;
    pub(super) const SCTLR2_EN: u64 = 1 << 44;
    pub(super) const PI_EN: u64 = 1 << 45;
    pub(super) const AI_EN: u64 = 1 << 46;
    pub(super) const EN_FPM: u64 = 1 << 50;
    pub(super) const FGT_EN2: u64 = 1 << 59;
}

/// CPTR_EL3.EZ: SVE below EL3 does not trap.
const CPTR_EZ: u64 = 1 << 8;
/// CPTR_EL3.ESM: SME below EL3 does not trap.
const CPTR_ESM: u64 = 1 << 12;

/// The control registers of one world.
#[derive(Clone, Copy, Debug, Default)]
pub struct Controls {
    /// SCR_EL3.
    pub scr: u64,
    /// CPTR_EL3.
    pub cptr: u64,
}

/// Reads a four-bit field of an ID register.
fn field(register: u64, lowest_bit: u32) -> u64 {
    (register >> lowest_bit) & 0xF
}

/// Makes the controls of the normal world, by what the CPU has that asks first.
pub fn normal_world() -> &'static Controls {
    static CONTROLS: Once<Controls> = Once::new();
    CONTROLS.call_once(by_features)
}

fn by_features() -> Controls {
    let pfr0 = sysreg::read!("id_aa64pfr0_el1");
    let pfr1 = sysreg::read!("id_aa64pfr1_el1");
    let pfr2 = sysreg::read!("S3_0_C0_C4_2");
    let isar1 = sysreg::read!("id_aa64isar1_el1");
    let isar2 = sysreg::read!("S3_0_C0_C6_2");
    let mmfr0 = sysreg::read!("id_aa64mmfr0_el1");
    let mmfr1 = sysreg::read!("id_aa64mmfr1_el1");
    let mmfr3 = sysreg::read!("S3_0_C0_C7_3");

    let pointer_auth = isar1 & 0xFF00_0FF0 | isar2 & 0xFF00 != 0;
    let csv2 = field(pfr0, 56);
    let csv2_has_scxtnum = csv2 >= 2 || csv2 == 1 && field(pfr1, 32) >= 2;
    let sve = field(pfr0, 32) != 0;
    let sme = field(pfr1, 24) != 0;

    let mut controls = Controls { scr: scr::NS | scr::FIQ | scr::RES1 | scr::HCE | scr::RW, cptr: 0 };
    for (present, bits) in [
        (pointer_auth, scr::APK | scr::API),
        (csv2_has_scxtnum, scr::EN_SCXT),
        (field(pfr1, 8) >= 2, scr::ATA),
        (field(mmfr0, 56) >= 1, scr::FGT_EN),
        (field(mmfr0, 56) >= 2, scr::FGT_EN2),
        (field(mmfr0, 60) >= 2, scr::ECV_EN),
        (field(pfr0, 44) >= 2, scr::AMVOFF_EN),
        (field(isar1, 60) >= 2, scr::EN_AS0),
        (field(isar1, 60) >= 3, scr::AD_EN),
        (field(mmfr1, 40) >= 1, scr::HX_EN),
        (field(pfr1, 44) >= 1, scr::GCS_EN),
        (sme, scr::EN_TP2),
        (field(mmfr3, 0) >= 1, scr::TCR2_EN),
        (field(mmfr3, 4) >= 1, scr::SCTLR2_EN),
        (field(mmfr3, 8) >= 1 || field(mmfr3, 12) >= 1 || field(mmfr3, 16) >= 1, scr::PI_EN),
        (field(mmfr3, 24) >= 1, scr::AI_EN),
        (field(pfr2, 32) >= 1, scr::EN_FPM),
    ] {
        if present {
            controls.scr |= bits;
        }
    }
    if sve {
        controls.cptr |= CPTR_EZ;
    }
    if sme {
        controls.cptr |= CPTR_ESM;
    }
    controls
}

/// Makes the controls of the TEE: secure, AArch64, no instruction fetch from non-secure memory, the secure timer its
/// own, no interrupt routed away from it.
pub const fn secure_world() -> Controls {
    Controls { scr: scr::RES1 | scr::SIF | scr::RW | scr::ST, cptr: 0 }
}

/// Makes the controls of a TEE that is under watch: the same, but FIQs come to EL3, which the TEE cannot mask.
pub const fn secure_world_under_watch() -> Controls {
    let Controls { scr, cptr } = secure_world();
    Controls { scr: scr | scr::FIQ, cptr }
}

/// Sets what is the same for both worlds, on each CPU once.
pub fn init(normal: &Controls) {
    // The counter's frequency, which lower levels read and only EL3 can write (Arm ARM D19.12.1). The hardware has it
    // at reset on the CPU that boots; a CPU that does not is told.
    static FREQUENCY: Once<u64> = Once::new();
    let frequency = *FREQUENCY.call_once(|| super::counter().1);
    // SAFETY: CNTFRQ_EL0 holds a number for software to read; the hardware does not use it.
    unsafe { sysreg::write!("cntfrq_el0", frequency) }
    let dfr0 = sysreg::read!("id_aa64dfr0_el1");
    // SDD and SPD32: no self-hosted debug in the secure world. SPME stays 0: its events are not counted; SCCD is 1: nor
    // are its cycles, where the CPU can leave them out (FEAT_PMUv3p5; elsewhere PMCR_EL0.DP, the normal world's own
    // bit, decides that). TPM and TDA stay 0: the PMU and debug registers are the normal world's.
    let mut mdcr: u64 = 1 << 16 | 0b10 << 14 | 1 << 23;
    if field(dfr0, 32) != 0 {
        // NSPB: statistical profiling is the normal world's.
        mdcr |= 0b11 << 12;
    }
    if field(dfr0, 44) != 0 {
        // NSTB: so is the trace buffer.
        mdcr |= 0b11 << 24;
    }
    if field(dfr0, 48) == 1 {
        // MTPME: as at reset.
        mdcr |= 1 << 28;
    }
    let smfr0 = sysreg::read!("S3_0_C0_C4_5");
    // Errors are synchronised at each exception to EL3 and before each ERET, where the CPU can (crate::world::errors).
    let iesb = u64::from(field(sysreg::read!("S3_0_C0_C7_2"), 12) != 0) << 21;
    let sctlr = sysreg::read!("sctlr_el3") | iesb;
    // SAFETY: SCTLR_EL3.IESB changes nothing else. CPTR_EL3 opens SVE and SME so that their length registers can be
    // written, where they exist; MDCR_EL3 closes debug as described; the lengths are the longest there are. EL3 itself
    // uses none of these.
    unsafe {
        sysreg::write!("sctlr_el3", sctlr);
        sysreg::write!("scr_el3", secure_world().scr);
        sysreg::write!("mdcr_el3", mdcr);
        sysreg::write!("cptr_el3", normal.cptr);
        core::arch::asm!("isb");
        if normal.cptr & CPTR_EZ != 0 {
            // ZCR_EL3.LEN.
            sysreg::write!("S3_6_C1_C2_0", 0xFu64);
        }
        if normal.cptr & CPTR_ESM != 0 {
            // SMCR_EL3: LEN, FA64 where there, EZT0 with SME2.
            let sme2 = u64::from(field(smfr0, 56) >= 1);
            sysreg::write!("S3_6_C1_C2_6", 0xFu64 | (smfr0 >> 63) << 31 | sme2 << 30);
        }
        core::arch::asm!("isb");
    }
}

/// Runs `action` with the banked registers of the normal world in reach.
pub fn as_normal_world(action: impl FnOnce()) {
    let before = sysreg::read!("scr_el3");
    // SAFETY: at EL3 SCR_EL3.NS selects which copy of a banked register is accessed; the translation of EL3 does not
    // depend on it, and it is put back.
    unsafe {
        sysreg::write!("scr_el3", before | scr::NS);
        core::arch::asm!("isb");
    }
    action();
    // SAFETY: as above.
    unsafe {
        sysreg::write!("scr_el3", before);
        core::arch::asm!("isb");
    }
}

/// Returns what `action` finds with the banked registers of the secure world in reach.
pub fn as_secure_world<T>(action: impl FnOnce() -> T) -> T {
    let before = sysreg::read!("scr_el3");
    // SAFETY: as for the normal world.
    unsafe {
        sysreg::write!("scr_el3", before & !scr::NS);
        core::arch::asm!("isb");
    }
    let found = action();
    // SAFETY: as above.
    unsafe {
        sysreg::write!("scr_el3", before);
        core::arch::asm!("isb");
    }
    found
}
