//! Calls to EL3.

use crate::mediator::Tee;

/// The TEE behind the monitor.
pub struct Monitor;

impl Tee for Monitor {
    #[inline(always)]
    fn call(&mut self, regs: [u64; 8]) -> [u64; 4] {
        let [mut x0, mut x1, mut x2, mut x3, x4, x5, x6, x7] = regs;
        // SAFETY: SMCCC 1.4 §2.6: an SMC changes x0 to x17 at most. What the TEE writes to is memory that the mediator
        // gave it, none of which Rust knows as its own.
        unsafe {
            core::arch::asm!(
                "smc #0",
                inlateout("x0") x0,
                inlateout("x1") x1,
                inlateout("x2") x2,
                inlateout("x3") x3,
                inlateout("x4") x4 => _,
                inlateout("x5") x5 => _,
                inlateout("x6") x6 => _,
                inlateout("x7") x7 => _,
                lateout("x8") _, lateout("x9") _, lateout("x10") _, lateout("x11") _, lateout("x12") _,
                lateout("x13") _, lateout("x14") _, lateout("x15") _, lateout("x16") _, lateout("x17") _,
                options(nostack),
            );
        }
        [x0, x1, x2, x3]
    }
}

/// Whether the firmware has PSCI 1.0 or later.
pub fn has_psci() -> bool {
    smccc::psci::version::<smccc::Smc>().is_ok_and(|version| version.major >= 1)
}

/// Starts a CPU at [`super::boot::secondary_entry`].
pub fn cpu_on(affinity: u64, secondary: &'static super::boot::Secondary) -> Result<(), smccc::psci::error::Error> {
    let argument = core::ptr::from_ref(secondary) as u64;
    super::cpu::clean_to_memory(argument, size_of::<super::boot::Secondary>() as u64);
    smccc::psci::cpu_on::<smccc::Smc>(affinity, super::boot::secondary_entry as *const () as u64, argument)
}

/// Switches the machine off.
pub fn system_off() -> ! {
    let _ = smccc::psci::system_off::<smccc::Smc>();
    loop {
        super::sysreg::wait_for_interrupt();
    }
}
