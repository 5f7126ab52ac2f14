// SPDX-License-Identifier: MIT OR Apache-2.0
//! The only home of assembly and system registers.

pub mod boot_entry;
pub mod cache;
pub mod cpus;
pub mod el2;
pub mod el3;
pub mod mmu;
pub mod runtime_entry;
pub mod sha256;
pub mod stacks;
pub mod switch;
pub mod sysreg;
pub mod timer;
pub mod undefined;
pub mod vectors;

use aarch64_cpu::asm::barrier;

/// Affinity fields of MPIDR_EL1.
pub const MPIDR_AFFINITY: u64 = 0xFF_00FF_FFFF;

/// Says which CPU this is, as PSCI and the device tree name it.
pub fn mpidr() -> u64 {
    sysreg::read!("mpidr_el1") & MPIDR_AFFINITY
}

/// Says where the world that came goes on.
pub fn return_address() -> u64 {
    sysreg::read!("elr_el3")
}

/// Says why the world came: ESR_EL3.
pub fn syndrome() -> u64 {
    sysreg::read!("esr_el3")
}

/// Waits until an interrupt is pending, masked or not.
pub fn wait_for_interrupt() {
    barrier::dsb(barrier::SY);
    aarch64_cpu::asm::wfi();
}

/// Lets another CPU run where CPUs share one, as QEMU's do when it counts instructions; a spin-loop hint elsewhere.
pub fn relax() {
    // SAFETY: a hint.
    unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) }
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    loop {
        wait_for_interrupt();
    }
}

/// Reads the time since reset in ticks, and how many ticks a second has.
pub fn counter() -> (u64, u64) {
    barrier::isb(barrier::SY);
    (sysreg::read!("cntpct_el0"), sysreg::read!("cntfrq_el0"))
}
