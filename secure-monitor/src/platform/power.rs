// SPDX-License-Identifier: MIT OR Apache-2.0
//! The secure PL061, whose lines switch the machine off and reset it: QEMU's `gpio-pwr` acts on a rising edge.

use core::ptr::NonNull;
use firmware_support::board::BOARD;
use safe_mmio::fields::{ReadPureWrite, ReadWrite};
use safe_mmio::{UniqueMmioPointer, field};

/// PL061 registers (Arm DDI 0190): the data register appears once for each mask of lines that an access is about.
#[repr(C)]
struct Pl061 {
    data: [ReadWrite<u32>; 256],
    direction: ReadPureWrite<u32>,
}

/// Switches the machine off.
pub fn off() -> ! {
    raise(BOARD.power_off_line)
}

/// Resets the machine.
pub fn reset() -> ! {
    raise(BOARD.reset_line)
}

fn raise(line: u32) -> ! {
    let registers = NonNull::new(core::ptr::with_exposed_provenance_mut::<Pl061>(BOARD.secure_gpio.base as usize))
        .expect("the GPIO is not at address 0");
    // SAFETY: the range is mapped as device memory; CPUs that come here at once all do the same, and nothing else uses
    // the GPIO.
    let mut gpio = unsafe { UniqueMmioPointer::new(registers) };
    let mask = 1 << line;
    field!(gpio, direction).modify(|lines| lines | mask);
    for level in [0, mask] {
        field!(gpio, data).get(mask as usize).expect("there are eight lines").write(level);
    }
    // The edge acts at the end of QEMU's instruction or soon after it.
    crate::arch::stop()
}
