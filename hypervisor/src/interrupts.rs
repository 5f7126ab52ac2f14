// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupts that the hypervisor takes itself, by INTID: the CPU's and the board's.

use firmware_support::board::BOARD;

/// Kicks another CPU out of its guest or its sleep.
pub const KICK: u32 = 0;
/// The virtual interface wants attention (GICv3 §12.4.7).
pub const MAINTENANCE: u32 = 25;
/// The hypervisor's timer.
pub const HYPERVISOR_TIMER: u32 = 26;

/// The normal world's UART.
pub const UART: u32 = BOARD.uart.intid();
