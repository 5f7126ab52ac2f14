// SPDX-License-Identifier: MIT OR Apache-2.0
//! Everything that one CPU owns at EL3.

use super::context::{Context, World};
use super::predictor::Predictor;
use super::tee::Tee;
use core::mem::offset_of;

/// Where the normal world begins on a CPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Its first instruction.
    pub address: u64,
    /// Its x0.
    pub argument: u64,
}

/// Everything that one CPU owns at EL3. TPIDR_EL3 points to it.
///
/// The `percore` crate finds the CPU's share by an index at each access; here the vectors hand each handler the one
/// `&mut Cpu` that exists, which costs nothing and needs no exception lock: nothing interrupts EL3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Cpu {
    /// The normal world. First, so that the address of the CPU is that of its normal world.
    pub normal: Context,
    /// The TEE's registers.
    pub secure: Context,
    /// Where the monitor's own stack on this CPU begins.
    stack_top: u64,
    index: usize,
    predictor: Predictor,
    /// Whether and where the TEE can be entered, and what for it was.
    pub tee: Tee,
    /// Where the normal world begins next: when the CPU is switched on, or wakes up without its context.
    pub entry: Entry,
}

impl Cpu {
    /// A CPU of which nothing is known.
    pub const ZERO: Self = Self::new(0, 0, Predictor::Unknown);

    /// Makes the CPU at this position in the table of CPUs, with its own stack and predictor.
    pub const fn new(index: usize, stack_top: u64, predictor: Predictor) -> Self {
        Self {
            normal: Context::ZERO,
            secure: Context::ZERO,
            stack_top,
            index,
            predictor,
            tee: Tee::ABSENT,
            entry: Entry { address: 0, argument: 0 },
        }
    }

    /// Returns the position in the table of CPUs.
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Returns its branch predictor.
    #[inline(always)]
    pub const fn predictor(&self) -> Predictor {
        self.predictor
    }

    /// Returns the registers of `world`.
    pub fn context(&mut self, world: World) -> &mut Context {
        match world {
            World::Normal => &mut self.normal,
            World::Secure => &mut self.secure,
        }
    }
}

// What the assembly in arch/ relies on.
const _: () = {
    assert!(offset_of!(Cpu, normal) == 0);
    assert!(offset_of!(Cpu, secure) == 448);
    assert!(offset_of!(Cpu, stack_top) == 896);
};
