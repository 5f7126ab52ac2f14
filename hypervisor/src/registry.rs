// SPDX-License-Identifier: MIT OR Apache-2.0
//! The VMs that there are, each at a place of its own.
#![forbid(unsafe_code)]

use crate::arch::one_per_machine;
use crate::lock::{self, Lock};
use crate::vm::Vm;
use alloc::sync::Arc;
use alloc::vec::Vec;

one_per_machine! {
    fn vms() -> &'static Lock<Vec<Option<Arc<Vm>>>, { lock::DEVICES }> = Lock::new(Vec::new());
}

/// Adds one, at the first place that is free.
pub fn add(vm: Arc<Vm>) {
    let mut vms = vms().lock();
    match vms.iter_mut().find(|place| place.is_none()) {
        Some(place) => *place = Some(vm),
        None => vms.push(Some(vm)),
    }
}

/// Removes one. Says how many are left.
pub fn remove(vm: &Arc<Vm>) -> usize {
    let mut vms = vms().lock();
    for place in vms.iter_mut() {
        // The caller has it still.
        place.take_if(|other| Arc::ptr_eq(other, vm));
    }
    vms.iter().flatten().count()
}

/// Returns the VM at a place.
pub fn get(place: usize) -> Option<Arc<Vm>> {
    vms().lock().get(place).cloned().flatten()
}

/// Finds the first place from this one on, and no further than the last, at which there is a VM, and the VM.
pub fn from(place: usize) -> Option<(usize, Arc<Vm>)> {
    let vms = vms().lock();
    let mut places = vms.iter().enumerate().skip(place);
    places.find_map(|(place, vm)| Some((place, vm.clone()?)))
}

/// Finds the next place behind this one, in a circle, at which there is a VM, and the VM.
pub fn after(place: usize) -> Option<(usize, Arc<Vm>)> {
    let vms = vms().lock();
    let mut others = (place + 1..vms.len()).chain(0..=place);
    others.find_map(|place| Some((place, vms.get(place).cloned().flatten()?)))
}
