// SPDX-License-Identifier: MIT OR Apache-2.0
//! Instructions retired, by exception level (Arm ARM D13.11, event 0x08).
//!
//! EL3 is not counted here: counters of the normal world see Secure state, which EL3 belongs to, if MDCR_EL3.SPME
//! allows it alone, and then they see the TEE, too. The monitor does not allow it, so EL3's part is read off QEMU's log
//! by the lab.
//!
//! Guests have no PMU (MDCR_EL2.TPM), so the hypervisor uses two of its counters: one counts at EL2, the other at EL1
//! and EL0. QEMU counts instructions under `-icount` alone, and says so in PMCEID0.

use super::sysreg::{isb, read, write};

const INST_RETIRED: u64 = 0x08;
/// PMEVTYPER: not at EL1 (P), not at EL0 (U), at EL2 (NSH).
const AT_EL2: u64 = 1 << 31 | 1 << 30 | 1 << 27 | INST_RETIRED;
/// At non-secure EL1 and EL0, not at EL2.
const BELOW: u64 = INST_RETIRED;

/// Starts the counters; whether the CPU can count.
pub fn init() -> bool {
    let version = read!("id_aa64dfr0_el1") >> 8 & 0xF;
    if version == 0 || version == 0xF {
        return false;
    }
    let counters = read!("pmcr_el0") >> 11 & 0x1F;
    // All counters are everyone's (HPMN), which at EL2 means that PMCR.E governs them.
    write!("mdcr_el2", read!("mdcr_el2") & !0x1F | counters);
    if counters < 2 || read!("pmceid0_el0") & 1 << INST_RETIRED == 0 {
        return false;
    }
    write!("pmevtyper0_el0", AT_EL2);
    write!("pmevtyper1_el0", BELOW);
    write!("pmevcntr0_el0", 0);
    write!("pmevcntr1_el0", 0);
    write!("pmovsclr_el0", 3);
    write!("pmintenclr_el1", 3);
    write!("pmcntenset_el0", 3);
    write!("pmcr_el0", 1);
    isb();
    true
}

/// Reads both counts: at EL2, and below. They are 32 bits wide and wrap.
#[inline]
pub fn sample() -> (u32, u32) {
    isb();
    (read!("pmevcntr0_el0") as u32, read!("pmevcntr1_el0") as u32)
}
