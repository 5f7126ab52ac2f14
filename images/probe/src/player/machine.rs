// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the player needs of a machine; `arch` has the real one, the tests have theirs.

use crate::script::expression::Width;
use crate::script::step::Conduit;
use core::fmt;

/// General registers that a call is made with and leaves behind: x0 to x28.
pub const REGISTERS: usize = 29;

/// A synchronous exception.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fault {
    /// The syndrome register.
    pub syndrome: u64,
    /// The fault address register.
    pub address: u64,
    /// The exception link register.
    pub pc: u64,
}

impl Fault {
    /// Exception class: bits 31:26 of the syndrome (Arm ARM D24.2.40).
    pub const fn class(&self) -> u64 {
        (self.syndrome >> 26) & 0x3F
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ESR {:#x} (class {:#x}) FAR {:#x} ELR {:#x}", self.syndrome, self.class(), self.address, self.pc)
    }
}

/// One CPU of a machine.
pub trait Machine {
    /// Makes a call: the registers go in and come back. The ticks that passed.
    fn call(&mut self, conduit: Conduit, registers: &mut [u64; REGISTERS]) -> Result<u64, Fault>;

    /// Reads memory.
    fn load(&mut self, width: Width, address: u64) -> Result<u64, Fault>;

    /// Writes memory.
    fn store(&mut self, width: Width, address: u64, value: u64) -> Result<(), Fault>;

    /// Calls a subroutine.
    fn execute(&mut self, address: u64) -> Result<(), Fault>;

    /// Ticks of the counter that a loop of so many rounds of two instructions takes.
    fn time_loop(&mut self, rounds: u64) -> u64;

    /// Returns the counter.
    fn now(&self) -> u64;

    /// Returns its ticks in a second.
    fn frequency(&self) -> u64;

    /// Returns the exception level.
    fn level(&self) -> u64;

    /// Says where the image begins.
    fn image(&self) -> u64;

    /// Says where the arena begins.
    fn arena(&self) -> u64;

    /// Says where a started CPU enters, for CPU_ON.
    fn entry(&self) -> u64;

    /// Says where a suspended CPU enters that has lost its registers, with its number in x0, for CPU_SUSPEND: the call
    /// then returns 0.
    fn resume(&self) -> u64;

    /// Lets other CPUs run, where they share one with this.
    fn relax(&self) {
        core::hint::spin_loop();
    }

    /// Returns the instruction that PSCI is called by.
    fn psci(&self) -> Conduit;

    /// Executes an instruction at a known place, by which a log of executed instructions shows when a figure was
    /// printed.
    fn mark(&self) {}

    /// Prints a line, which no other CPU's line gets into.
    fn print(&self, line: fmt::Arguments<'_>);
}
