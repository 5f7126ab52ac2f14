// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way into a guest, which the fake machine has none of: what a guest does is the test's to say.
#![forbid(unsafe_code)]

/// The first fields of a vCPU.
#[repr(C)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// The stack of its CPU.
    pub stack: u64,
}
