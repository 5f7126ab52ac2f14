// SPDX-License-Identifier: MIT OR Apache-2.0
//! The firmware: what the hypervisor itself asks of EL3.
#![forbid(unsafe_code)]

use crate::arch::{cpu, smc};
use shared_abi::smccc::{SMCCC_ARCH_FEATURES, SMCCC_ARCH_WORKAROUND_1};

#[cfg(feature = "trace")]
use recorded::Smc;
#[cfg(not(feature = "trace"))]
use smc::Smc;

/// Makes the calls, and records them.
#[cfg(feature = "trace")]
mod recorded {
    use super::smc;
    use crate::trace::{Client, record};
    use shared_abi::trace::Event;
    use smccc::Call;

    pub(super) struct Smc;

    impl Call for Smc {
        fn call32(function: u32, args: [u32; 7]) -> [u32; 8] {
            let x = core::array::from_fn(|n| if n == 0 { function } else { args[n - 1] }.into());
            record(Client::HYPERVISOR, || Event::Send { x });
            let results = smc::Smc::call32(function, args);
            record(Client::HYPERVISOR, || Event::Receive { x: core::array::from_fn(|n| results[n].into()) });
            results
        }

        fn call64(function: u32, args: [u64; 17]) -> [u64; 18] {
            let x = core::array::from_fn(|n| if n == 0 { function.into() } else { args[n - 1] });
            record(Client::HYPERVISOR, || Event::Send { x });
            let results = smc::Smc::call64(function, args);
            record(Client::HYPERVISOR, || Event::Receive { x: core::array::from_fn(|n| results[n]) });
            results
        }
    }
}

/// Says whether there is PSCI 1.0 or later.
pub fn has_psci() -> bool {
    smccc::psci::version::<Smc>().is_ok_and(|version| version.major >= 1)
}

/// Starts a CPU at `entry`, with this in its x0.
pub fn cpu_on(affinity: u64, entry: u64, argument: u64) -> Result<(), smccc::psci::error::Error> {
    smccc::psci::cpu_on::<Smc>(affinity, entry, argument)
}

/// Says whether a CPU is on, off or about to be on.
pub fn affinity_info(affinity: u64) -> Result<smccc::psci::AffinityState, smccc::psci::error::Error> {
    smccc::psci::affinity_info::<Smc>(affinity, smccc::psci::LowestAffinityLevel::All)
}

/// Returns what is said of SMCCC_ARCH_WORKAROUND_1 on the CPU that asks: 0 it helps, 1 it need not, -1 it is not there.
pub fn workaround_1() -> i32 {
    let function = SMCCC_ARCH_FEATURES.0;
    <Smc as smccc::Call>::call32(function, [SMCCC_ARCH_WORKAROUND_1.0, 0, 0, 0, 0, 0, 0])[0] as i32
}

/// Switches the machine off.
pub fn system_off() -> ! {
    let _ = smccc::psci::system_off::<Smc>();
    loop {
        cpu::wait_for_interrupt();
    }
}
