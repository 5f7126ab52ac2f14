// SPDX-License-Identifier: MIT OR Apache-2.0
//! The TEE behind the monitor.

use crate::arch::smc;
use crate::mediator::Tee;
use crate::trace::{Client, record};
use shared_abi::trace::Event;

/// Reaches the TEE by SMC.
pub struct BySmc;

impl Tee for BySmc {
    #[inline(always)]
    fn call(&mut self, regs: [u64; 8]) -> [u64; 4] {
        record(Client::alleged(regs[7]), || Event::Send { x: regs });
        let x = smc::call(regs);
        record(Client::alleged(regs[7]), || Event::Receive { x });
        x
    }
}
