// SPDX-License-Identifier: MIT OR Apache-2.0
//! What comes to EL3 from below: which service it goes to, and how the CPU leaves again.

use super::conclude::{conclude, enter};
use super::{MONITOR, patience};
use crate::arch::switch::{self, Transition};
use crate::arch::vectors::{Fault, Handlers};
use crate::arch::{self, mmu};
use crate::complaints::complain;
use crate::fault;
use crate::platform::gic;
use crate::services::opteed::Opteed;
use crate::trace::{self, Came, Refusal};
use crate::world::call::{UNKNOWN, function};
use crate::world::context::{Context, World};
use crate::world::cpu::Cpu;
use crate::world::errors::Owner;
use crate::world::next::Next;
use shared_abi::smccc::FunctionId;

/// The runtime's handlers, for its vectors.
pub enum Runtime {}

impl Fault for Runtime {
    extern "C" fn fault(esr: u64, elr: u64, vector: u64) -> ! {
        fault::monitor_fault(esr, elr, vector)
    }
}

impl Handlers for Runtime {
    extern "C" fn smc(cpu: &mut Cpu) -> Transition {
        let came = Came::by_call(cpu, World::Normal);
        let Some(id) = function(cpu.normal.gpr[0] as u32) else { return rare(cpu, World::Normal) };
        match MONITOR.frequent_of_normal_world(cpu, id) {
            Some(to) => enter(cpu, came, World::Normal, to),
            None => less_frequent(cpu, id.0),
        }
    }

    extern "C" fn tee_smc(cpu: &mut Cpu) -> Transition {
        let came = Came::by_call(cpu, World::Secure);
        match MONITOR.frequent_of_tee(cpu) {
            Some(to) => enter(cpu, came, World::Secure, to),
            None => less_frequent_of_tee(cpu),
        }
    }

    extern "C" fn tee_error(cpu: &mut Cpu) -> Transition {
        match Owner::of(cpu.secure.errors) {
            Owner::NormalWorld => Self::tee_smc(cpu),
            Owner::Tee => {
                fault::error_of_the_tee();
                let came = Came::by_trap(cpu, World::Secure, arch::syndrome(), arch::return_address, || 0);
                switch::send_back_for_error();
                enter(cpu, came, World::Secure, World::Secure)
            }
        }
    }

    extern "C" fn trap(cpu: &mut Cpu, context: *mut Context) -> Transition {
        const CLASS_SMC32: u64 = 0x13;
        const CLASS_SMC64: u64 = 0x17;
        let from = world(cpu, context);
        let esr = arch::syndrome();
        let class = (esr >> 26) & 0x3F;
        let came = match class {
            CLASS_SMC32 | CLASS_SMC64 => Came::by_call(cpu, from),
            _ => Came::by_trap(cpu, from, esr, arch::return_address, mmu::fault_address),
        };
        let next = match class {
            // AArch32 has the 32-bit calls only (SMCCC 1.4 §2.5).
            CLASS_SMC32 if cpu.context(from).gpr[0] & 1 << 30 == 0 => MONITOR.smc(cpu, from),
            // An immediate other than 0 is reserved (SMCCC 1.4 §2.9).
            CLASS_SMC32 | CLASS_SMC64 => {
                let immediate = esr & 0xFFFF;
                cpu.context(from).answer(trace::refused!(Refusal::UnknownFunction, immediate, UNKNOWN));
                Next::Enter(from)
            }
            _ => {
                fault::lower_level_trap(from, esr);
                Next::Enter(from)
            }
        };
        conclude(cpu, came, Some(from), next)
    }

    extern "C" fn interrupt(cpu: &mut Cpu, context: *mut Context) -> Transition {
        let from = world(cpu, context);
        let pending = gic::take();
        let came = Came::by_interrupt(cpu, from, || gic::number(pending), arch::return_address);
        let next = match pending {
            gic::Pending::Tee if from == World::Normal => Opteed::interrupt(cpu).unwrap_or_else(|| {
                gic::discard_secure();
                Next::Enter(from)
            }),
            gic::Pending::Monitor(id) => {
                if !gic::is_wake(id) {
                    complain(format_args!("cpu{}: group 0 interrupt {id} that nobody asked for", cpu.index()));
                }
                Next::Enter(from)
            }
            // While the TEE begins, an interrupt of the normal world's is an FIQ, which is not EL3's to acknowledge.
            gic::Pending::Tee | gic::Pending::Nothing if from == World::Secure && patience::is_over(cpu) => {
                MONITOR.tee().overdue(cpu, arch::return_address())
            }
            gic::Pending::Tee | gic::Pending::Nothing => Next::Enter(from),
        };
        conclude(cpu, came, Some(from), next)
    }
}

/// Handles what the short way did not take. Called last, as [`rare`] is.
#[inline(never)]
extern "C" fn less_frequent(cpu: &mut Cpu, id: u32) -> Transition {
    let came = Came::by_told_call(cpu);
    if MONITOR.less_frequent(cpu, FunctionId(id)) {
        enter(cpu, came, World::Normal, World::Normal)
    } else {
        rare(cpu, World::Normal)
    }
}

/// Handles what the short way of the TEE did not take. Called last, as [`rare`] is.
#[inline(never)]
extern "C" fn less_frequent_of_tee(cpu: &mut Cpu) -> Transition {
    let came = Came::by_told_call(cpu);
    if MONITOR.less_frequent_of_tee(cpu) {
        enter(cpu, came, World::Secure, World::Secure)
    } else {
        rare(cpu, World::Secure)
    }
}

/// Handles any call. Called last, by the same calling convention, so that the handlers above need no stack frame.
#[inline(never)]
extern "C" fn rare(cpu: &mut Cpu, from: World) -> Transition {
    let came = Came::by_told_call(cpu);
    let next = MONITOR.rare(cpu, from);
    conclude(cpu, came, Some(from), next)
}

/// Tells which world a context of the CPU is.
fn world(cpu: &Cpu, context: *mut Context) -> World {
    if core::ptr::eq(context, &raw const cpu.normal) { World::Normal } else { World::Secure }
}
