// SPDX-License-Identifier: MIT OR Apache-2.0
//! EL2 as the arm64 boot protocol wants to find it (Linux `Documentation/arch/arm64/booting.rst`), each time the normal
//! world begins on a CPU, whoever ran there before. Most of these registers are unknown after a reset of the CPU.

use super::sysreg;

/// SCTLR_EL2 with MMU and caches off: RES1 bits.
const SCTLR_EL2_OFF: u64 = 0x30C5_0830;
/// CPTR_EL2 with HCR_EL2.E2H = 0: RES1 bits without those that trap SVE (8) and SME (12).
const CPTR_EL2_NO_TRAPS: u64 = 0x22FF;

/// Reads a four-bit field of an ID register.
fn field(register: u64, lowest_bit: u32) -> u64 {
    (register >> lowest_bit) & 0xF
}

/// Sets EL2's registers: MMU off, no traps.
pub fn reset() {
    let (mmfr0, mmfr1) = (sysreg::read!("id_aa64mmfr0_el1"), sysreg::read!("id_aa64mmfr1_el1"));
    let has_hcx = field(mmfr1, 40) != 0;
    let fine_grained = field(mmfr0, 56);
    let has_activity_monitors = field(sysreg::read!("id_aa64pfr0_el1"), 44) != 0;
    let counters = (sysreg::read!("pmcr_el0") >> 11) & 0x1F;
    let (midr, mpidr) = (sysreg::read!("midr_el1"), sysreg::read!("mpidr_el1"));
    super::el3::as_normal_world(|| {
        // SAFETY: nothing runs at EL2 or EL1 of the normal world on this CPU when it is (re)started, and EL3 uses none
        // of these registers.
        unsafe {
            sysreg::write!("sctlr_el2", SCTLR_EL2_OFF);
            sysreg::write!("hcr_el2", 0u64);
            sysreg::write!("cptr_el2", CPTR_EL2_NO_TRAPS);
            sysreg::write!("hstr_el2", 0u64);
            sysreg::write!("hacr_el2", 0u64);
            sysreg::write!("vttbr_el2", 0u64);
            sysreg::write!("vpidr_el2", midr);
            sysreg::write!("vmpidr_el2", mpidr);
            sysreg::write!("mdcr_el2", counters);
            sysreg::write!("cnthctl_el2", 0b11u64);
            if has_hcx {
                // HCRX_EL2.
                sysreg::write!("S3_4_C1_C2_2", 0u64);
            }
            if fine_grained >= 1 {
                // HFGRTR, HFGWTR, HFGITR, HDFGRTR, HDFGWTR.
                sysreg::write!("S3_4_C1_C1_4", 0u64);
                sysreg::write!("S3_4_C1_C1_5", 0u64);
                sysreg::write!("S3_4_C1_C1_6", 0u64);
                sysreg::write!("S3_4_C3_C1_4", 0u64);
                sysreg::write!("S3_4_C3_C1_5", 0u64);
                if has_activity_monitors {
                    // HAFGRTR.
                    sysreg::write!("S3_4_C3_C1_6", 0u64);
                }
            }
            if fine_grained >= 2 {
                // HDFGRTR2, HDFGWTR2, HFGRTR2, HFGWTR2, HFGITR2.
                sysreg::write!("S3_4_C3_C1_0", 0u64);
                sysreg::write!("S3_4_C3_C1_1", 0u64);
                sysreg::write!("S3_4_C3_C1_2", 0u64);
                sysreg::write!("S3_4_C3_C1_3", 0u64);
                sysreg::write!("S3_4_C3_C1_7", 0u64);
            }
            core::arch::asm!("isb");
        }
    });
}

/// Switches timers and virtual interrupts off. After a suspension they stay: they may be what ended it, and are the
/// same normal world's as before.
pub fn reset_events() {
    let has_second_timer = field(sysreg::read!("id_aa64mmfr1_el1"), 8) != 0;
    let has_physical_offset = field(sysreg::read!("id_aa64mmfr0_el1"), 60) >= 2;
    super::el3::as_normal_world(|| {
        // SAFETY: as above.
        unsafe {
            sysreg::write!("cntvoff_el2", 0u64);
            sysreg::write!("cnthp_ctl_el2", 0u64);
            sysreg::write!("cntp_ctl_el0", 0u64);
            sysreg::write!("cntv_ctl_el0", 0u64);
            if has_second_timer {
                // CNTHV_CTL_EL2, with FEAT_VHE.
                sysreg::write!("S3_4_C14_C3_1", 0u64);
            }
            if has_physical_offset {
                // CNTPOFF_EL2.
                sysreg::write!("S3_4_C14_C0_6", 0u64);
            }
            // ICH_HCR_EL2: no virtual interrupts of a hypervisor that is gone. They would also end a parked CPU's
            // waits.
            sysreg::write!("S3_4_C12_C11_0", 0u64);
            core::arch::asm!("isb");
        }
    });
}
