// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the runtime does about what comes to EL3, and about what its services decide. `main.rs` beside it is how it
//! begins.

pub mod conclude;
pub mod handlers;
pub mod patience;
pub mod tree_with_tee;

use crate::dispatch::Monitor;
use crate::platform::gic;
use crate::world::cpu::Cpu;

/// What all CPUs share.
pub static MONITOR: Monitor = Monitor::new(gic::wake);

/// Prepares this CPU, which has just got what it owns, for what comes.
pub fn begin(_: &Cpu) {
    gic::init_cpu_interface();
    if crate::trace::ON {
        crate::platform::recorder::begin();
    }
}
