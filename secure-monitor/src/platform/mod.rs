// SPDX-License-Identifier: MIT OR Apache-2.0
//! The machine: the only home of MMIO, and of memory that is not Rust's own.

pub mod console;
pub mod gic;
pub mod memory;
pub mod power;
pub mod recorder;

use firmware_support::board::BOARD;
use shared_abi::layout::Range;

/// What the console is on: all that the boot stage drives.
pub const UART: Range = BOARD.secure_uart;
/// What the runtime drives.
pub const DEVICES: [Range; 4] = [UART, BOARD.secure_gpio, BOARD.distributor, BOARD.redistributors];
