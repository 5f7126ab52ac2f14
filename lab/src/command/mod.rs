// SPDX-License-Identifier: MIT OR Apache-2.0
//! What commands of the lab do that is more than one call of another module.

pub mod contract;
pub mod judge;
pub mod report;
pub mod run;
pub mod trace;
