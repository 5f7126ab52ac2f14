// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls to PSCI, by the instruction that the device tree names.

use super::snippet::{Ran, snippet};
use core::sync::atomic::{AtomicBool, Ordering};
use shared_abi::psci::PSCI_SYSTEM_OFF;
use shared_abi::smccc::FunctionId;

static BY_SMC: AtomicBool = AtomicBool::new(false);

/// Says by which instruction PSCI is called: `smc`, else `hvc`.
pub fn set_conduit(smc: bool) {
    BY_SMC.store(smc, Ordering::Relaxed);
}

/// Calls with x0 to x28, and zeros where there are fewer.
pub fn call(registers: &[u64]) -> Ran {
    if BY_SMC.load(Ordering::Relaxed) { snippet!("smc #0").run(registers) } else { snippet!("hvc #0").run(registers) }
}

/// Calls a function; x0.
pub fn ask(function: FunctionId, arguments: [u64; 3]) -> i64 {
    let [a, b, c] = arguments;
    call(&[function.0.into(), a, b, c]).x[0] as i64
}

/// Switches the machine off. Should that fail, the CPU sleeps for good.
pub fn power_off() -> ! {
    ask(PSCI_SYSTEM_OFF, [0; 3]);
    loop {
        super::wait_for_interrupt();
    }
}
