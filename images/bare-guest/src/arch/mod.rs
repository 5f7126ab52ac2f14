// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only AArch64 can say: the way in, exceptions, the timer and the way to the TEE.

mod boot;
mod exceptions;
pub mod timer;

use crate::inventory::Conduit;
use crate::optee::World;
use aarch64_cpu::asm::wfi;
use aarch64_cpu::registers::{CurrentEL, Readable};
use core::sync::atomic::{AtomicBool, Ordering};
use shared_abi::smccc::FunctionId;
use smccc::{Hvc, Smc, psci};

/// Returns the exception level.
pub fn level() -> u64 {
    CurrentEL.read(CurrentEL::EL)
}

/// Whether PSCI is called by `hvc`; `smc` is what the guest contract always has.
static PSCI_BY_HVC: AtomicBool = AtomicBool::new(false);
static POWERING_OFF: AtomicBool = AtomicBool::new(false);

/// Says by which instruction PSCI is called.
pub fn set_psci(conduit: Conduit) {
    PSCI_BY_HVC.store(conduit == Conduit::Hvc, Ordering::Relaxed);
}

/// Powers the machine off by PSCI. Should that fail, the CPU sleeps for good.
pub fn power_off() -> ! {
    // The call itself may be what this CPU cannot do: then it comes back here by an exception.
    if !POWERING_OFF.swap(true, Ordering::Relaxed) {
        let _ = match PSCI_BY_HVC.load(Ordering::Relaxed) {
            false => psci::system_off::<Smc>(),
            true => psci::system_off::<Hvc>(),
        };
    }
    loop {
        wfi();
    }
}

/// The TEE behind an instruction.
pub struct Tee(Conduit);

impl Tee {
    /// Makes the TEE that the device tree says is called so.
    pub fn new(conduit: Conduit) -> Self {
        Self(conduit)
    }
}

impl World for Tee {
    fn call(&mut self, function: FunctionId, args: [u32; 7]) -> [u32; 4] {
        let [x0, x1, x2, x3, ..] = match self.0 {
            Conduit::Smc => smccc::smc32(function.0, args),
            Conduit::Hvc => smccc::hvc32(function.0, args),
        };
        [x0, x1, x2, x3]
    }

    fn sleep(&mut self, ms: u64) {
        timer::sleep(ms);
    }

    fn read(&mut self, address: u64) -> u32 {
        let word = core::ptr::with_exposed_provenance::<u32>(address as usize);
        // SAFETY: a load changes nothing that Rust knows of; one that is not allowed ends the VM, which is the point.
        unsafe { word.read_volatile() }
    }
}
