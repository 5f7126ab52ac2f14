//! EL2 as the arm64 boot protocol wants to find it (Linux `Documentation/arch/arm64/booting.rst`), each time the normal
//! world begins on a CPU: MMU off, no traps, timers and virtual interrupts off, whoever ran there before.

use super::sysreg;

/// SCTLR_EL2 with MMU and caches off: RES1 bits.
const SCTLR_EL2_OFF: u64 = 0x30C5_0830;
/// CPTR_EL2 with HCR_EL2.E2H = 0: RES1 bits without those that trap SVE (8) and SME (12).
const CPTR_EL2_NO_TRAPS: u64 = 0x22FF;

/// Resets what the next normal-world software at EL2 relies on.
pub fn reset() {
    let has_hcx = (sysreg::read!("id_aa64mmfr1_el1") >> 40) & 0xF != 0;
    let counters = (sysreg::read!("pmcr_el0") >> 11) & 0x1F;
    let (midr, mpidr) = (sysreg::read!("midr_el1"), sysreg::read!("mpidr_el1"));
    super::el3::as_normal_world(|| {
        // SAFETY: nothing runs at EL2 or EL1 of the normal world on this CPU when it is (re)started, and EL3 uses none
        // of these registers.
        unsafe {
            sysreg::write!("sctlr_el2", SCTLR_EL2_OFF);
            sysreg::write!("hcr_el2", 0u64);
            sysreg::write!("cptr_el2", CPTR_EL2_NO_TRAPS);
            sysreg::write!("vttbr_el2", 0u64);
            sysreg::write!("vpidr_el2", midr);
            sysreg::write!("vmpidr_el2", mpidr);
            sysreg::write!("mdcr_el2", counters);
            sysreg::write!("cnthctl_el2", 0b11u64);
            sysreg::write!("cntvoff_el2", 0u64);
            sysreg::write!("cnthp_ctl_el2", 0u64);
            sysreg::write!("cntp_ctl_el0", 0u64);
            sysreg::write!("cntv_ctl_el0", 0u64);
            // ICH_HCR_EL2: no virtual interrupts of a hypervisor that is gone. They would also end a parked CPU's waits.
            sysreg::write!("S3_4_C12_C11_0", 0u64);
            if has_hcx {
                // HCRX_EL2.
                sysreg::write!("S3_4_C1_C2_2", 0u64);
            }
            core::arch::asm!("isb");
        }
    });
}
