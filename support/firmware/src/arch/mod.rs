// SPDX-License-Identifier: MIT OR Apache-2.0
//! The CPU, before there is Rust.

pub mod start;
