// SPDX-License-Identifier: MIT OR Apache-2.0
//! The devices of QEMU's `virt`.

pub mod gic;
pub mod rtc;
pub mod uart;

use firmware_support::board::BOARD;
use shared_abi::layout::Range;

/// What the hypervisor drives.
pub const DEVICES: [Range; 4] = BOARD.non_secure();
