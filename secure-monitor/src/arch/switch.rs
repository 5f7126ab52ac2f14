// SPDX-License-Identifier: MIT OR Apache-2.0
//! Leaving the monitor: back to the caller, or into the other world.
//!
//! The paths below are what every call costs, so they save and restore what the other world can see or touch, once,
//! and nothing else. [`crate::world::context`] says which registers those are.

use crate::world::context::{Context, World};
use crate::world::cpu::Cpu;
use crate::world::errors;
use core::arch::naked_asm;

/// ICC_PMR_EL1 that lets every priority through.
pub const PARK_PRIORITY: u8 = 0xFF;

/// Two system registers into a context, x1, by way of x2 and x3.
macro_rules! save {
    ($a:literal, $b:literal, $offset:literal) => {
        concat!("mrs x2, ", $a, "\nmrs x3, ", $b, "\nstp x2, x3, [x1, #", $offset, "]")
    };
}

/// Two system registers out of a context, x0, by way of x2 and x3.
macro_rules! load {
    ($a:literal, $b:literal, $offset:literal) => {
        concat!("ldp x2, x3, [x0, #", $offset, "]\nmsr ", $a, ", x2\nmsr ", $b, ", x3")
    };
}

/// What a handler decided: the world to go to, and the one to save.
#[repr(C)]
pub struct Transition {
    to: *mut Context,
    /// The world whose registers are in the CPU and must be kept: `to` itself when it simply goes on, null when
    /// nothing is worth keeping.
    save: *mut Context,
}

impl Transition {
    /// Goes to a world of this CPU, and keeps one, which is in the CPU, if there is anything to keep.
    #[inline(always)]
    pub fn new(cpu: &mut Cpu, keep: Option<World>, to: World) -> Self {
        let save = match keep {
            Some(world) => core::ptr::from_mut(cpu.context(world)),
            None => core::ptr::null_mut(),
        };
        Self { to: cpu.context(to), save }
    }
}

/// Goes back to the world that came, x0. Only what the handlers may have changed is restored: x19 to x29 they preserve,
/// ELR_EL3 and SPSR_EL3 are as they were.
///
/// # Safety
///
/// From the vectors alone.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn leave() -> ! {
    naked_asm!(
        "mov sp, x0",
        "ldp x2, x3, [sp, #16]",
        "ldp x4, x5, [sp, #32]",
        "ldp x6, x7, [sp, #48]",
        "ldp x8, x9, [sp, #64]",
        "ldp x10, x11, [sp, #80]",
        "ldp x12, x13, [sp, #96]",
        "ldp x14, x15, [sp, #112]",
        "ldp x16, x17, [sp, #128]",
        "ldr x18, [sp, #144]",
        "ldr x30, [sp, #240]",
        "ldp x0, x1, [sp]",
        "eret",
        // No speculation past the return.
        "dsb nsh",
        "isb",
    )
}

/// Goes to the world in x0, keeping the one in x1 unless it is null. The way of what is not called often.
///
/// # Safety
///
/// From the vectors and [`start`] alone.
#[unsafe(naked)]
pub(super) unsafe extern "C" fn switch() -> ! {
    naked_asm!(
        "mrs x2, tpidr_el3",
        "cmp x0, x2",
        "b.eq 1f",
        "cbz x1, {begin_tee}",
        "b {keep_normal}",
        "1: cbz x1, {begin_normal}",
        "b {keep_tee}",
        begin_tee = sym begin_tee,
        keep_normal = sym keep_normal,
        begin_normal = sym begin_normal,
        keep_tee = sym keep_tee,
    )
}

unsafe extern "C" {
    /// Goes to the TEE, x0, keeping nothing: the second half of [`keep_normal`].
    fn begin_tee() -> !;
    /// Goes to the normal world, x0, keeping nothing: the second half of [`keep_tee`].
    fn begin_normal() -> !;
}

/// Goes to the TEE, x0, keeping the normal world, x1, of which the vectors have kept x0 to x19 and x30.
///
/// # Safety
///
/// As for [`switch`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn keep_normal() -> ! {
    naked_asm!(
        "stp x20, x21, [x1, #160]",
        "stp x22, x23, [x1, #176]",
        "stp x24, x25, [x1, #192]",
        "stp x26, x27, [x1, #208]",
        "stp x28, x29, [x1, #224]",
        save!("elr_el3", "spsr_el3", 248),
        save!("sctlr_el1", "cpacr_el1", 288),
        save!("ttbr0_el1", "ttbr1_el1", 304),
        save!("tcr_el1", "mair_el1", 320),
        save!("vbar_el1", "contextidr_el1", 336),
        save!("sp_el0", "sp_el1", 352),
        save!("tpidr_el1", "tpidr_el0", 368),
        save!("tpidrro_el0", "cntkctl_el1", 384),
        save!("elr_el1", "spsr_el1", 400),
        save!("esr_el1", "far_el1", 416),
        save!("par_el1", "csselr_el1", 432),
        ".global begin_tee",
        "begin_tee:",
        // What was done before is no doing of the TEE's: an error that comes of it is pending from now on, and it is
        // noted that one is (crate::world::errors).
        "dsb sy",
        "isb",
        "mrs x2, isr_el1",
        ".global errors_at_entry",
        "errors_at_entry:",
        "str x2, [x0, #280]",
        load!("elr_el3", "spsr_el3", 248),
        load!("scr_el3", "cptr_el3", 264),
        load!("sctlr_el1", "cpacr_el1", 288),
        load!("ttbr0_el1", "ttbr1_el1", 304),
        load!("tcr_el1", "mair_el1", 320),
        load!("vbar_el1", "contextidr_el1", 336),
        load!("sp_el0", "sp_el1", 352),
        load!("tpidr_el1", "tpidr_el0", 368),
        load!("tpidrro_el0", "cntkctl_el1", 384),
        // Its arguments. The other general registers hold what the normal world or the monitor's handler left there:
        // the TEE takes none of them at an entry, and nothing of the normal world's is a secret from it.
        "mov sp, x0",
        "ldp x2, x3, [sp, #16]",
        "ldp x4, x5, [sp, #32]",
        "ldp x6, x7, [sp, #48]",
        "ldp x0, x1, [sp]",
        "eret",
        "dsb nsh",
        "isb",
    )
}

/// Goes to the normal world, x0, keeping the TEE, x1. Of the TEE's general registers and of where it was nothing is
/// kept: it leaves by a call that returns into a new entry.
///
/// # Safety
///
/// As for [`switch`].
#[unsafe(naked)]
pub(super) unsafe extern "C" fn keep_tee() -> ! {
    naked_asm!(
        "mrs x2, spsr_el3",
        "str x2, [x1, #256]",
        save!("sctlr_el1", "cpacr_el1", 288),
        save!("ttbr0_el1", "ttbr1_el1", 304),
        save!("tcr_el1", "mair_el1", 320),
        save!("vbar_el1", "contextidr_el1", 336),
        save!("sp_el0", "sp_el1", 352),
        save!("tpidr_el1", "tpidr_el0", 368),
        save!("tpidrro_el0", "cntkctl_el1", 384),
        ".global begin_normal",
        "begin_normal:",
        load!("elr_el3", "spsr_el3", 248),
        load!("scr_el3", "cptr_el3", 264),
        load!("sctlr_el1", "cpacr_el1", 288),
        load!("ttbr0_el1", "ttbr1_el1", 304),
        load!("tcr_el1", "mair_el1", 320),
        load!("vbar_el1", "contextidr_el1", 336),
        load!("sp_el0", "sp_el1", 352),
        load!("tpidr_el1", "tpidr_el0", 368),
        load!("tpidrro_el0", "cntkctl_el1", 384),
        load!("elr_el1", "spsr_el1", 400),
        load!("esr_el1", "far_el1", 416),
        load!("par_el1", "csselr_el1", 432),
        "mov sp, x0",
        "ldp x2, x3, [sp, #16]",
        "ldp x4, x5, [sp, #32]",
        "ldp x6, x7, [sp, #48]",
        "ldp x8, x9, [sp, #64]",
        "ldp x10, x11, [sp, #80]",
        "ldp x12, x13, [sp, #96]",
        "ldp x14, x15, [sp, #112]",
        "ldp x16, x17, [sp, #128]",
        "ldp x18, x19, [sp, #144]",
        "ldp x20, x21, [sp, #160]",
        "ldp x22, x23, [sp, #176]",
        "ldp x24, x25, [sp, #192]",
        "ldp x26, x27, [sp, #208]",
        "ldp x28, x29, [sp, #224]",
        "ldr x30, [sp, #240]",
        "ldp x0, x1, [sp]",
        "eret",
        "dsb nsh",
        "isb",
    )
}

/// Leaves for the first time on this CPU, as a handler would; what the CPU did before is forgotten.
pub fn start(_: &'static mut Cpu, transition: Transition) -> ! {
    // SAFETY: TPIDR_EL3 points to the one `Cpu` that is given away here ([`super::cpus::claim`]), and `switch` takes
    // over this CPU for good: no world returns into the monitor but by its vectors ([`Context`]).
    unsafe {
        core::arch::asm!(
            "b {switch}",
            switch = sym switch,
            in("x0") transition.to,
            in("x1") transition.save,
            options(noreturn)
        )
    }
}

/// Changes where the world that is in the CPU goes on, without a switch.
pub fn redirect(elr: u64) {
    // SAFETY: ELR_EL3 matters at the next ERET only, which goes where SPSR_EL3 says: to the world that came, not to
    // EL3.
    unsafe { super::sysreg::write!("elr_el3", elr) }
}

/// Makes the TEE, which has left by an SMC, go on at it with errors unmasked ([`crate::world::errors`]).
pub fn send_back_for_error() {
    let (elr, pstate) = errors::back(super::return_address(), super::sysreg::read!("spsr_el3"));
    redirect(elr);
    // SAFETY: as for ELR_EL3; the PSTATE is the one that it had but for the mask.
    unsafe { super::sysreg::write!("spsr_el3", pstate) }
}

/// Reads what is pending for the world that is entered, as [`crate::world::errors`] wants to know: ISR_EL1.
pub fn pending() -> u64 {
    super::sysreg::read!("isr_el1")
}
