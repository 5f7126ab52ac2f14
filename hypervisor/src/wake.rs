// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waking vCPUs, from whichever CPU.
#![forbid(unsafe_code)]

use crate::arch::{one_per_machine, timer};
use crate::percpu::{self, PerCpu};
use crate::platform::gic;
use crate::scheduler::Place;
use core::sync::atomic::Ordering;
use shared_abi::layout::MAX_CPUS;
use spin::Once;

/// A CPU that may be kicked.
struct Expected {
    cpu: &'static PerCpu,
    affinity: u64,
}

one_per_machine! {
    /// Returns all that have been started.
    fn cpus() -> &'static [Once<Expected>; MAX_CPUS] = [const { Once::new() }; MAX_CPUS];
}

/// Says that a CPU may be woken from now on.
pub fn expect(cpu: &'static PerCpu, affinity: u64) {
    cpus()[cpu.index].call_once(|| Expected { cpu, affinity });
}

/// Wakes a vCPU that has something to do, or to stop doing: an interrupt waits for it, it is to start, its VM ends. Its
/// CPU is disturbed if that may change what it does: not if the vCPU waits for its turn already.
pub fn wake(place: Place) {
    let Some(expected) = cpus()[place.cpu].get() else { return };
    let cpu = expected.cpu;
    let had_nothing_to_do = cpu.queue.wake(place.slot);
    if place.cpu == percpu::this().index {
        if had_nothing_to_do {
            // Its turn may begin as soon as what this CPU does now is done.
            timer::fire();
        }
    } else if had_nothing_to_do || cpu.running.load(Ordering::SeqCst) == place.slot {
        expected.kick();
    }
}

/// Lets all other CPUs look around. One that is still on its way finds the kick pending when it has come.
pub fn kick_others() {
    let own = percpu::this().index;
    for expected in cpus().iter().filter_map(Once::get).filter(|expected| expected.cpu.index != own) {
        expected.kick();
    }
}

impl Expected {
    fn kick(&self) {
        if !self.cpu.kicked.swap(true, Ordering::SeqCst) {
            gic::kick(self.affinity);
        }
    }
}
