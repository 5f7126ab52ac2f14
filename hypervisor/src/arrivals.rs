// SPDX-License-Identifier: MIT OR Apache-2.0
//! vCPUs on their way to their CPUs: whoever makes a VM leaves them here, and each CPU takes in its own when one of
//! them is woken.
#![forbid(unsafe_code)]

use crate::arch::one_per_machine;
use crate::lock::{self, Lock};
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::mem::take as take_all;
use shared_abi::layout::MAX_CPUS;

type Arrivals = Lock<Vec<Box<Vcpu>>, { lock::DEVICES }>;

one_per_machine! {
    fn arrivals() -> &'static [Arrivals; MAX_CPUS] = [const { Lock::new(Vec::new()) }; MAX_CPUS];
}

/// Hands a vCPU over to its CPU.
pub fn leave(vcpu: Box<Vcpu>) {
    arrivals()[vcpu.place.cpu].lock().push(vcpu);
}

/// Takes the vCPUs that are on their way to a CPU, which is the one that this runs on.
pub fn take(cpu: usize) -> Vec<Box<Vcpu>> {
    take_all(&mut *arrivals()[cpu].lock())
}

/// Takes back the vCPUs of a VM that is over and that no CPU has taken in yet: they need not come.
pub fn withdraw(vm: &Arc<Vm>) {
    let next = |arrivals: &Arrivals| {
        let mut arrivals = arrivals.lock();
        let place = arrivals.iter().position(|vcpu| Arc::ptr_eq(&vcpu.vm, vm))?;
        Some(arrivals.swap_remove(place))
    };
    for arrivals in arrivals() {
        while let Some(vcpu) = next(arrivals) {
            drop(vcpu);
        }
    }
}
