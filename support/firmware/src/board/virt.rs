// SPDX-License-Identifier: MIT OR Apache-2.0
//! QEMU's `virt` with `secure=on,virtualization=on,gic-version=3` (`hw/arm/virt.c`).

use super::{Board, Device};
use shared_abi::layout::Range;

const KIB: u64 = 1 << 10;

/// QEMU's `virt`: the machine, and what every guest of the hypervisor finds of it.
pub const VIRT: Board = Board {
    distributor: Range::new(0x0800_0000, 64 * KIB),
    redistributors: Range::new(0x080A_0000, 0xF6_0000),
    uart: Device { registers: Range::new(0x0900_0000, 4 * KIB), spi: 1 },
    rtc: Device { registers: Range::new(0x0901_0000, 4 * KIB), spi: 2 },
    secure_uart: Range::new(0x0904_0000, 4 * KIB),
    secure_gpio: Range::new(0x090B_0000, 4 * KIB),
    power_off_line: 0,
    reset_line: 1,
};
