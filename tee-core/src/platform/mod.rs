//! The devices of QEMU's `virt` that the TEE uses: the secure UART, the GIC's CPU interface, and memory for traces.

pub mod console;
pub mod interrupts;
pub mod recorder;

/// What every CPU sets up for itself.
pub fn init_cpu() {
    interrupts::init_cpu();
}
