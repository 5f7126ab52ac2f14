// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interrupts that the hypervisor takes itself, by INTID: the CPU's and the board's; how a device tree names one.

use firmware_support::board::BOARD;

/// Kicks another CPU out of its guest or its sleep.
pub const KICK: u32 = 0;
/// The virtual interface wants attention (GICv3 §12.4.7).
pub const MAINTENANCE: u32 = 25;
/// The hypervisor's timer.
pub const HYPERVISOR_TIMER: u32 = 26;

/// The normal world's UART.
pub const UART: u32 = BOARD.uart.intid();

// What says in a device tree which interrupt is meant (GICv3's binding): the kind, the number, the trigger.
/// A shared one, whose number 0 is INTID 32.
pub const SPI: u32 = 0;
/// A CPU's own, whose number 0 is INTID 16.
pub const PPI: u32 = 1;
/// A rising edge.
pub const EDGE_RISING: u32 = 1;
/// Level-sensitive, active high.
pub const LEVEL_HIGH: u32 = 4;
