// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a run is traced: what is asked for, and what that comes to on a machine.

use super::memory::Memory;
use shared_abi::trace::Way;
use std::path::PathBuf;
use std::sync::Arc;

/// How a run is traced.
#[derive(Debug, Clone)]
pub struct Tracing {
    /// How records leave the machine. Rings become frames where the machine has no memory for them.
    pub way: Way,
    /// Time is the count of executed instructions, whatever the scenario says.
    pub icount: bool,
    /// QEMU writes its own log of exceptions.
    pub exceptions: bool,
    /// Features that the TEE is built with besides.
    pub tee: Vec<String>,
}

impl Default for Tracing {
    fn default() -> Self {
        Self { way: Way::Rings, icount: true, exceptions: false, tee: Vec::new() }
    }
}

/// A machine that is traced.
#[derive(Debug)]
pub struct Traced {
    /// How records leave it.
    pub way: Way,
    /// The file behind its memory, where the rings are.
    pub memory: Option<Arc<Memory>>,
    /// Ticks of its counter in a second.
    pub frequency: u64,
    /// A tick is an instruction.
    pub instructions: bool,
    /// Where QEMU's log of exceptions is.
    pub exceptions: Option<PathBuf>,
}
