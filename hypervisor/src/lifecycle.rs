// SPDX-License-Identifier: MIT OR Apache-2.0
//! The life of a VM: made, started, stopped or reset, and gone.
//!
//! ```text
//!  make ──► Made ──start──► running ──stop──► stopping ──the last vCPU is off──► over ──nobody has it──► gone
//!                              ▲                 │
//!                              └───── reset ─────┘
//! ```
//!
//! Whoever wants something of a VM's life says so here: boot, the guest by PSCI, a fault. What a VM is made of belongs
//! to it alone and goes back by itself when nobody has the VM any more: memory, images, VMID and places
//! ([`crate::resources`]), tables, vCPUs, what the TEE's mediator keeps. Each vCPU has the VM until its CPU has let go
//! of the vCPU; so nothing of it goes back while a CPU may still use it.
//!
//! One thing stays: memory that the TEE did not let go of. It may write there for ever, and so nobody else gets it.
#![forbid(unsafe_code)]

use crate::arrivals;
use crate::config::VmConfig;
use crate::firmware;
use crate::power::StopReason;
use crate::registry;
use crate::trace::{self, Client};
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use crate::wake;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use shared_abi::trace::Event;
use shared_abi::trace::event::VmState;

/// A VM that has all that it needs and that nobody knows of yet.
pub struct Made(Box<Vm>);

/// Makes a VM. The error says what is wrong with the configuration, and what to do; nothing is left behind then.
pub fn make(config: VmConfig) -> Result<Made, String> {
    Vm::new(config).map(Made)
}

/// Fills a VM's memory and lets it run.
pub fn start(made: Made) -> Arc<Vm> {
    let Made(mut vm) = made;
    trace::record(Client::of(vm.config.id), || Event::VmState { state: VmState::Made });
    vm.prepare();
    let vm: Arc<Vm> = vm.into();
    // A CPU may take them in, and the VM end, before all are there.
    registry::add(Arc::clone(&vm));
    for (index, place) in vm.places.iter().enumerate() {
        arrivals::leave(Box::new(Vcpu::new(Arc::clone(&vm), index, **place)));
    }
    wake::wake(*vm.places[0]);
    vm
}

/// Stops a VM. Its vCPUs stop when their CPUs have heard of it; the first reason to stop counts.
pub fn stop(vm: &Vm, reason: StopReason) {
    vm.stop(reason);
}

/// Goes on with a VM whose last vCPU is off: it starts again if that was asked for. Otherwise it is over with it, and
/// with the machine if it was the last one.
pub fn stopped(vm: &Arc<Vm>) {
    if !vm.finish() {
        wake::wake(*vm.places[0]);
        return;
    }
    arrivals::withdraw(vm);
    // Their CPUs let go of them.
    for place in &vm.places {
        wake::wake(**place);
    }
    if registry::remove(vm) == 0 {
        log::info!("all VMs are off");
        firmware::system_off();
    }
}
