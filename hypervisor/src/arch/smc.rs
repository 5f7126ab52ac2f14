//! Calls to EL3.

use crate::mediator::Tee;
use crate::trace::{Client, record};
use shared_abi::smccc::{SMCCC_ARCH_FEATURES, SMCCC_ARCH_WORKAROUND_1};
use shared_abi::trace::Event;

#[cfg(feature = "trace")]
use recorded::Smc;
#[cfg(not(feature = "trace"))]
use smccc::Smc;

/// The TEE behind the monitor.
pub struct Monitor;

impl Tee for Monitor {
    #[inline(always)]
    fn call(&mut self, regs: [u64; 8]) -> [u64; 4] {
        let [mut x0, mut x1, mut x2, mut x3, x4, x5, x6, x7] = regs;
        record(Client::alleged(x7), || Event::Send { x: regs });
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
        record(Client::alleged(x7), || Event::Receive { x: [x0, x1, x2, x3] });
        [x0, x1, x2, x3]
    }
}

/// PSCI's calls, recorded.
#[cfg(feature = "trace")]
mod recorded {
    use super::{Client, Event, record};

    pub struct Smc;

    impl smccc::Call for Smc {
        fn call32(function: u32, args: [u32; 7]) -> [u32; 8] {
            let x = core::array::from_fn(|n| if n == 0 { function } else { args[n - 1] }.into());
            record(Client::HYPERVISOR, || Event::Send { x });
            let results = smccc::smc32(function, args);
            record(Client::HYPERVISOR, || Event::Receive { x: core::array::from_fn(|n| results[n].into()) });
            results
        }

        fn call64(function: u32, args: [u64; 17]) -> [u64; 18] {
            let x = core::array::from_fn(|n| if n == 0 { function.into() } else { args[n - 1] });
            record(Client::HYPERVISOR, || Event::Send { x });
            let results = smccc::smc64(function, args);
            record(Client::HYPERVISOR, || Event::Receive { x: core::array::from_fn(|n| results[n]) });
            results
        }
    }
}

/// Whether the firmware has PSCI 1.0 or later.
pub fn has_psci() -> bool {
    smccc::psci::version::<Smc>().is_ok_and(|version| version.major >= 1)
}

/// Starts a CPU at [`super::boot::secondary_entry`].
pub fn cpu_on(affinity: u64, secondary: &'static super::boot::Secondary) -> Result<(), smccc::psci::error::Error> {
    let argument = core::ptr::from_ref(secondary) as u64;
    super::cpu::clean_to_memory(argument, size_of::<super::boot::Secondary>() as u64);
    smccc::psci::cpu_on::<Smc>(affinity, super::boot::secondary_entry as *const () as u64, argument)
}

/// What the firmware says of SMCCC_ARCH_WORKAROUND_1 on the CPU that asks: 0 it helps, 1 it need not, -1 it is not
/// there.
pub fn workaround_1() -> i32 {
    let function = SMCCC_ARCH_FEATURES.0;
    <Smc as smccc::Call>::call32(function, [SMCCC_ARCH_WORKAROUND_1.0, 0, 0, 0, 0, 0, 0])[0] as i32
}

/// Switches the machine off.
pub fn system_off() -> ! {
    let _ = smccc::psci::system_off::<Smc>();
    loop {
        super::sysreg::wait_for_interrupt();
    }
}
