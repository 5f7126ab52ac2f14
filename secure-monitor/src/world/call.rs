// SPDX-License-Identifier: MIT OR Apache-2.0
//! A call as SMCCC 1.4 has it: which function is asked for, and where its results go.

use super::context::World;
use super::cpu::Cpu;
use shared_abi::smccc::{FunctionId, NOT_SUPPORTED, in_x0};

/// A call whose registers are as they came.
pub struct Call<'c> {
    /// The CPU that is called.
    pub cpu: &'c Cpu,
    /// Who calls.
    pub from: World,
    /// What for.
    pub id: FunctionId,
}

impl Call<'_> {
    /// Reads the id and x1 to x7, as wide as the id says.
    pub fn arguments(&self) -> [u64; 8] {
        match self.from {
            World::Normal => self.cpu.normal.arguments(self.id),
            World::Secure => self.cpu.secure.arguments(self.id),
        }
    }
}

/// The results of a call, from x0 on. What is no result stays as the caller had it, as TF-A leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// None.
    Nothing,
    /// x0.
    One(u64),
    /// x0 and x1.
    Two([u64; 2]),
    /// x0 to x3.
    Four([u64; 4]),
}

/// The answer to what nobody serves: x0 is -1.
pub const UNKNOWN: Answer = Answer::One(in_x0(NOT_SUPPORTED));

/// Finds the function id in w0. Bit 16 only says that SVE state is dead (SMCCC 1.4 §2.5) and is not part of what is
/// asked for; bits 23:17 of a fast call must be zero.
#[inline(always)]
pub fn function(w0: u32) -> Option<FunctionId> {
    const FAST: u32 = 1 << 31;
    const SVE_HINT: u32 = 1 << 16;
    const RESERVED: u32 = 0x00FE_0000;
    let malformed = w0 & FAST != 0 && w0 & RESERVED != 0;
    (!malformed).then_some(FunctionId(w0 & !SVE_HINT))
}
