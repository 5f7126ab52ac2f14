// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a decision becomes what the CPU does.

use super::{MONITOR, patience, tree_with_tee};
use crate::arch::switch::{self, Transition};
use crate::arch::{self, el2};
use crate::dispatch::Power;
use crate::platform::{gic, power};
use crate::trace::Came;
use crate::world::context::World;
use crate::world::cpu::Cpu;
use crate::world::next::{Next, Step};

/// Leaves boot on this CPU for the first time, as `next` says.
pub fn run(cpu: &'static mut Cpu, next: Next) -> ! {
    let transition = conclude(cpu, Came::NOT, None, next);
    switch::start(cpu, transition)
}

/// Goes on in the world `to` after a call or exception of `from`.
#[inline(always)]
pub fn enter(cpu: &mut Cpu, came: Came, from: World, to: World) -> Transition {
    came.leave(cpu, Some(from), to, arch::return_address);
    Transition::new(cpu, Some(from), to)
}

/// Does what `next` says until there is a world to enter. `from` is the world that is in the CPU, if one is.
pub fn conclude(cpu: &mut Cpu, came: Came, mut from: Option<World>, mut next: Next) -> Transition {
    loop {
        next = match next {
            Next::Enter(to) => {
                came.leave(cpu, from, to, arch::return_address);
                return Transition::new(cpu, from, to);
            }
            Next::BeginNormal | Next::ResumeNormal => {
                if next == Next::BeginNormal {
                    el2::reset_events();
                }
                el2::reset();
                gic::open();
                came.begin(cpu, from, World::Normal);
                return Transition::new(cpu, from.filter(|from| *from == World::Secure), World::Normal);
            }
            Next::BeginSecure => {
                gic::open();
                patience::begin(cpu, cpu.tee.errand());
                came.begin(cpu, from, World::Secure);
                return Transition::new(cpu, None, World::Secure);
            }
            Next::Redirect => {
                // The CPU has slept since the TEE left.
                cpu.secure.errors = switch::pending();
                came.begin(cpu, from, World::Secure);
                switch::redirect(cpu.secure.elr);
                return Transition::new(cpu, from, World::Secure);
            }
            Next::Standby => {
                arch::wait_for_interrupt();
                Next::Enter(from.unwrap_or(World::Normal))
            }
            Next::PowerDown => {
                arch::wait_for_interrupt();
                MONITOR.power().woken(cpu)
            }
            Next::Park => {
                park(cpu);
                from = None;
                MONITOR.power().switched_on(cpu)
            }
            Next::Power(step, verdict) => {
                if step == Step::On {
                    patience::end(cpu);
                }
                MONITOR.power().go_on(cpu, step, verdict)
            }
            Next::Boot => {
                patience::end(cpu);
                announce();
                Power::begin(cpu);
                Next::BeginNormal
            }
            Next::SystemOff => {
                log::info!("system off");
                power::off()
            }
            Next::SystemReset => {
                log::info!("system reset");
                power::reset()
            }
        };
    }
}

/// Waits until this CPU is switched on. Only the monitor's own interrupt gets through, so a CPU that is off costs
/// nothing; the request is looked at after the interrupt was taken, so none is missed.
fn park(cpu: &mut Cpu) {
    el2::reset_events();
    el2::reset();
    gic::close();
    gic::prepare_wait();
    cpu.entry = loop {
        // One of the TEE's is not taken, and does not end the wait either.
        while let gic::Pending::Monitor(_) = gic::take() {}
        if let Some(entry) = MONITOR.power().cpus().requested(cpu.index()) {
            break entry;
        }
        arch::wait_for_interrupt();
    };
}

/// Says whether there is a TEE, whose first entry is over if one was loaded, and lets the device tree say so too.
fn announce() {
    if MONITOR.tee().is_ready() {
        log::info!("TEE ready");
        if tree_with_tee::put() {
            log::info!("the device tree is as the TEE completed it");
        }
    } else {
        log::warn!("no TEE: calls to it answer -1");
    }
}
