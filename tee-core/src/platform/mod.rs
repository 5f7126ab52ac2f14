//! The devices of QEMU's `virt` that the TEE uses: the secure UART, and the GIC's CPU interface.

pub mod console;
pub mod interrupts;

/// What every CPU sets up for itself.
pub fn init_cpu() {
    interrupts::init_cpu();
}
