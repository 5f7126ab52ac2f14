// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices: PL011 and what the GIC needs for a sleeping CPU to wake.

use crate::arch::timer;
use crate::inventory::Inventory;
use crate::story::Terminal;
use arm_gic::IntId;
use arm_gic::gicv3::registers::{Gicd, GicrSgi};
use arm_gic::gicv3::{GicCpuInterface, GicV3, Group};
use core::fmt;
use core::ptr::NonNull;
use firmware_support::board::VIRT;
use firmware_support::platform::pl011::{Pl011, Printer};
use safe_mmio::UniqueMmioPointer;

/// How often a CPU that waits for a key looks for it.
const LOOK_MS: u64 = 20;

/// The console on the PL011.
pub struct Console(Printer);

impl Console {
    /// Makes the console of this machine.
    ///
    /// # Safety
    ///
    /// `machine` tells the truth, device memory is mapped one to one, and no other console is used from here on.
    pub unsafe fn new(inventory: &Inventory<'_>) -> Self {
        if let Some([gicd, gicr]) = inventory.gic {
            // SAFETY: the addresses are the GIC's, and nothing else uses it.
            unsafe { wake_by_timer(gicd, gicr) };
        }
        // SAFETY: as the caller promises.
        unsafe { Self::at(inventory.uart.map_or(VIRT.uart.registers.base, |address| address as u64)) }
    }

    /// Returns the console where the guest contract has it: for who cannot read the device tree.
    ///
    /// # Safety
    ///
    /// As [`Console::new`].
    pub unsafe fn contract() -> Self {
        // SAFETY: as the caller promises.
        unsafe { Self::at(VIRT.uart.registers.base) }
    }

    /// # Safety
    ///
    /// There is a PL011 at `address`, as [`Console::new`] says.
    unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises.
        Self(Printer(unsafe { Pl011::at(address) }))
    }
}

impl fmt::Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(text)
    }
}

impl Terminal for Console {
    fn wait_line(&mut self) {
        loop {
            match self.0.0.receive() {
                Some(b'\r' | b'\n') => return,
                Some(_) => {}
                None => timer::sleep(LOOK_MS),
            }
        }
    }
}

/// Lets the virtual timer's interrupt (PPI 11, INTID 27) reach this CPU, which wakes it out of WFI though it takes
/// none.
///
/// # Safety
///
/// There is a GICv3's distributor at `gicd`, its redistributors from `gicr` on, and nothing else uses them.
unsafe fn wake_by_timer(gicd: usize, gicr: usize) {
    let gicd = NonNull::new(core::ptr::with_exposed_provenance_mut::<Gicd>(gicd));
    let gicr = NonNull::new(core::ptr::with_exposed_provenance_mut::<GicrSgi>(gicr));
    let (Some(gicd), Some(gicr)) = (gicd, gicr) else { return };
    // SAFETY: as the caller promises.
    let Ok(mut gic) = (unsafe { GicV3::new(UniqueMmioPointer::new(gicd), gicr, 1) }) else { return };
    gic.setup(0);
    GicCpuInterface::set_priority_mask(0xFF);
    let timer = IntId::ppi(11);
    let ready = gic.set_group(timer, Some(0), Group::Group1NS);
    let ready = ready.and_then(|()| gic.enable_interrupt(timer, Some(0), true));
    timer::set_usable(ready.is_ok());
}
