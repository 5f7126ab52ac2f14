// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls to EL3.
#![forbid(unsafe_code)]

use super::machine::with;

/// Makes a call with x0 to x7, which is answered in x0 to x3.
pub fn call(regs: [u64; 8]) -> [u64; 4] {
    let firmware = with(|machine| {
        machine.calls.push(regs);
        machine.firmware
    });
    firmware(regs)
}

/// Calls to the firmware itself. SYSTEM_OFF leaves what runs on the test's machine.
pub struct Smc;

impl smccc::Call for Smc {
    fn call32(function: u32, args: [u32; 7]) -> [u32; 8] {
        const SYSTEM_OFF: u32 = 0x8400_0008;
        if function == SYSTEM_OFF {
            std::panic::panic_any(Off);
        }
        let regs = core::array::from_fn(|n| if n == 0 { function } else { args[n - 1] }.into());
        let answer = call(regs);
        core::array::from_fn(|n| answer.get(n).map_or(0, |x| *x as u32))
    }

    fn call64(function: u32, args: [u64; 17]) -> [u64; 18] {
        let answer = call(core::array::from_fn(|n| if n == 0 { function.into() } else { args[n - 1] }));
        core::array::from_fn(|n| answer.get(n).copied().unwrap_or(0))
    }
}

/// What the code is left by that has switched the machine off.
pub struct Off;
