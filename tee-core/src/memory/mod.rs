// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which memory there is, and whose it is: secure pages, and the normal world's RAM. Numbers only; nothing is accessed.

pub mod ns_ram;
pub mod pages;
