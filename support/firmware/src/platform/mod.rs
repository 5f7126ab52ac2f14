// SPDX-License-Identifier: MIT OR Apache-2.0
//! Drivers of devices that more than one program has.

pub mod pl011;
