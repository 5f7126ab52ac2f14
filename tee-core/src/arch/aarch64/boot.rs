// SPDX-License-Identifier: MIT OR Apache-2.0
//! The first instructions, and what the MMU is set to.

use super::nexus_map;
use crate::arch::tables::NONE;
use core::arch::global_asm;
use shared_abi::layout::MAX_CPUS;
use shared_abi::opteed::TEESMC_OPTEED_RETURN_ENTRY_DONE;

/// Index 0: normal memory, write-back, read and write allocate. Index 1: device, nGnRE (Arm ARM D24.2.109).
const MAIR: u64 = 0x04FF;

/// Translation control (Arm ARM D24.2.193).
const TCR: u64 = {
    let t0sz = 25; // lower range: 512 GiB
    let t1sz = 39; // upper range: 32 MiB
    let cacheable = 0b01 << 8 | 0b01 << 10; // walks: inner and outer write-back
    let inner_shareable = 0b11 << 12;
    let a1 = 1 << 22; // the ASID is TTBR1_EL1's
    let tg1_4k = 0b10 << 30;
    let ips_40_bits = 0b010 << 32;
    t0sz | t1sz << 16 | cacheable | inner_shareable | (cacheable | inner_shareable) << 16 | a1 | tg1_4k | ips_40_bits
};

/// MMU and caches on, writable memory never executable, stack alignment checked; the bits that Armv8.0 wants to be 1,
/// SPAN among them (Arm ARM D24.2.175).
const SCTLR: u64 = {
    let (m, c, sa, i, wxn) = (1 << 0, 1 << 2, 1 << 3, 1 << 12, 1 << 19);
    let res1 = 1 << 11 | 1 << 20 | 1 << 22 | 1 << 23 | 1 << 28 | 1 << 29;
    m | c | sa | i | wxn | res1
};

global_asm!(
    include_str!("boot.S"),
    MAIR = const MAIR,
    TCR_LOW = const TCR & 0xFFFF_FFFF,
    TCR_HIGH = const TCR >> 32,
    SCTLR = const SCTLR,
    STACK_STRIDE = const super::cpu::STACK_STRIDE,
    MAX_CPUS = const MAX_CPUS,
    ENTRY_DONE = const TEESMC_OPTEED_RETURN_ENTRY_DONE.0,
);

unsafe extern "C" {
    fn mmu_on();
}

/// What `mmu_on` loads into TTBR0_EL1 and TTBR1_EL1. Written once by the boot CPU.
#[unsafe(no_mangle)]
static mut MMU_TABLES: [u64; 2] = [0; 2];

/// Switches the MMU of the boot CPU on; the others do so themselves.
///
/// # Safety
///
/// The nexus's map must cover all that the image uses, each address at itself, and the root table that stands while no
/// partition is selected be written. Once, on the boot CPU.
pub unsafe fn enable_mmu() {
    // SAFETY: no other CPU runs yet. The tables are as the caller says.
    unsafe {
        (&raw mut MMU_TABLES).write([nexus_map::root(), NONE.ttbr1()]);
        core::arch::asm!("dsb ish", options(nostack));
        mmu_on();
    }
}
