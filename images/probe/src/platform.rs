// SPDX-License-Identifier: MIT OR Apache-2.0
//! The console: a PL011, at the same place on the machine and in the guest contract.

use firmware_support::board::VIRT;
use firmware_support::platform::pl011::{Pl011, Printer};

/// Opens the console.
///
/// # Safety
///
/// Nobody else uses it while this value lives.
pub unsafe fn console() -> Printer {
    // SAFETY: there is a PL011, on the machine as in the guest contract, and the caller promises the rest.
    Printer(unsafe { Pl011::at(VIRT.uart.registers.base) })
}
