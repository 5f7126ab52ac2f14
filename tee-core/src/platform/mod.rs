// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of QEMU's `virt` that the TEE uses: the secure UART, the GIC's CPU interface, and memory for traces.

pub mod console;
pub mod interrupts;
pub mod recorder;

/// Sets up what every CPU has for itself.
pub fn init_cpu() {
    interrupts::init_cpu();
}
