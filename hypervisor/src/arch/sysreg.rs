//! System registers by name: those that are copied by the dozen, those on the way in and out of a guest, and those that
//! `aarch64-cpu`, whose fields the set-up is written in, does not have.

/// Reads a system register.
macro_rules! read {
    ($name:expr) => {{
        let value: u64;
        // SAFETY: Of the registers that this crate's calls name, reading changes nothing, but for ICC_IAR1_EL1, which
        // acknowledges an interrupt: no memory, and nothing that the compiler knows.
        unsafe { core::arch::asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack, preserves_flags)) };
        value
    }};
}

/// Writes a system register that governs a guest, a trap, a timer or an interrupt, or TPIDR_EL2, and never EL2's own
/// translation or stack.
macro_rules! write {
    ($name:expr, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: As the macro says: EL2's own translation and stack do not depend on these registers;
        // who reads TPIDR_EL2 answers for it.
        unsafe { core::arch::asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nostack, preserves_flags)) };
    }};
}

pub(crate) use {read, write};

/// Why the guest left: ESR_EL2.
#[inline(always)]
pub fn esr() -> u64 {
    read!("esr_el2")
}

/// The virtual address of a fault, FAR_EL2.
#[inline(always)]
pub fn far() -> u64 {
    read!("far_el2")
}

/// The page of a stage 2 fault, HPFAR_EL2.
#[inline(always)]
pub fn hpfar() -> u64 {
    read!("hpfar_el2")
}

/// Where the guest goes on, ELR_EL2.
#[inline(always)]
pub fn elr() -> u64 {
    read!("elr_el2")
}

/// Sets where the guest goes on.
#[inline(always)]
pub fn set_elr(value: u64) {
    write!("elr_el2", value);
}

/// The guest's PSTATE, SPSR_EL2.
#[inline(always)]
pub fn spsr() -> u64 {
    read!("spsr_el2")
}

/// Sets the guest's PSTATE.
#[inline(always)]
pub fn set_spsr(value: u64) {
    write!("spsr_el2", value);
}

/// Waits for what was written to take effect.
#[inline(always)]
pub fn isb() {
    // SAFETY: A barrier changes nothing.
    unsafe { core::arch::asm!("isb", options(nostack, preserves_flags)) };
}

/// Waits for an interrupt, masked or not.
#[inline(always)]
pub fn wait_for_interrupt() {
    // SAFETY: Interrupts are masked: the CPU only stands still.
    unsafe { core::arch::asm!("dsb sy", "wfi", options(nostack, preserves_flags)) };
}

/// Lets another CPU run where CPUs share one, as QEMU's do when it counts instructions; a spin-loop hint elsewhere.
pub fn relax() {
    // SAFETY: A hint changes nothing.
    unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) }
}

/// Waits until other CPUs see what was written.
#[inline(always)]
pub fn publish() {
    // SAFETY: A barrier changes nothing.
    unsafe { core::arch::asm!("dsb ishst", options(nostack, preserves_flags)) };
}

/// This CPU's affinity: MPIDR_EL1's Aff3 to Aff0, as PSCI names CPUs.
pub fn affinity() -> u64 {
    read!("mpidr_el1") & 0xFF_00FF_FFFF
}
