// SPDX-License-Identifier: MIT OR Apache-2.0
//! The way to the trusted OS (SMCCC 1.4 §2: the conduit), by the monitor.

use crate::arch::smc;
use crate::trace::{Client, record};
use shared_abi::trace::Event;

/// A way to the trusted OS.
pub trait Conduit {
    /// Makes one SMC to EL3 with x0 to x7; returns x0 to x3. On the CPU that it is called on, and with interrupts
    /// masked at EL2: the trusted OS comes back on its own when one is pending.
    fn call(&mut self, regs: [u64; 8]) -> [u64; 4];
}

/// The machine's.
pub struct Smc;

impl Conduit for Smc {
    #[inline(always)]
    fn call(&mut self, regs: [u64; 8]) -> [u64; 4] {
        record(Client::alleged(regs[7]), || Event::Send { x: regs });
        let x = smc::call(regs);
        record(Client::alleged(regs[7]), || Event::Receive { x });
        x
    }
}
