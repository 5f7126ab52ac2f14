// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the monitor does on the machine: it boots the TEE, takes calls to it, and its answers back.
#![expect(unsafe_code, reason = "boots the TEE, and says that a CPU is in no other call")]

use crate::arch::host::cpu;
use crate::arch::{Answer, Arguments, Machine, ThisCpu};
use crate::entry::caller;
use crate::memory::ns_ram::AllegedRam;
use crate::mode::Mode;
use crate::nexus::tee::Tee;
use crate::partition::layout::SHAPE;
use crate::trace;
use shared_abi::layout::Range;
use shared_abi::smccc::FunctionId;
use std::sync::Arc;

/// Boots a TEE on a machine with this non-secure RAM, of which it is told of `known`, and with these pages for VMs.
pub fn boot(ram: Range, known: &[Range], pages: Range) -> Arc<Tee> {
    boot_as(Mode::Virtualized, ram, known, pages).expect("nobody is served yet")
}

/// The same, with whom it serves. `None` if there is no memory for that.
pub fn boot_as(mode: Mode, ram: Range, known: &[Range], pages: Range) -> Option<Arc<Tee>> {
    let mut alleged = AllegedRam::new();
    for range in known {
        alleged.add(*range).expect("RAM that is not secure");
    }
    let tee = Arc::new(Tee::new(Machine::new(ram, SHAPE)));
    // SAFETY: nothing runs on the machine yet, and what it is told is so by then.
    unsafe { tee.prepare() };
    tee.machine().isb();
    // SAFETY: an access to what the fake machine doesn't have is a panic.
    tee.set_ns_ram(unsafe { alleged.believe() });
    // SAFETY: the fake machine is this TEE's alone, and has no image in its secure memory.
    unsafe { tee.add_pages(pages.base, pages.end()) };
    // SAFETY: this CPU does nothing else.
    let served = cpu::in_call(|| tee.serve(&mut unsafe { ThisCpu::new() }, mode));
    served.is_ok().then_some(tee)
}

impl Tee {
    /// Makes a call on this CPU, fast or yielding by its function id.
    pub fn smc(&self, x: &Arguments) -> Answer {
        // The monitor enters elsewhere where one is served.
        let mut x = *x;
        self.mode().admit(&mut x);
        trace::called(&x);
        let answer = cpu::in_call(|| {
            let is_fast = FunctionId(x[0] as u32).is_fast();
            // SAFETY: this CPU is in no other call.
            unsafe { if is_fast { caller::fast(self, &mut x) } else { caller::yielding(self, &mut x) } }
        });
        trace::answered(&answer);
        self.machine().assert_idle();
        answer
    }
}
