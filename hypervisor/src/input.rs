// SPDX-License-Identifier: MIT OR Apache-2.0
//! Console input: from the UART to the selected VM.
//!
//! All that comes in is taken, whether or not the selected VM reads: behind it may stand the keys that select another.
#![forbid(unsafe_code)]

use crate::arch::{one_per_machine, timer};
use crate::console::{Escape, Input};
use crate::platform::console;
use crate::vm::{self, Vm};
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;

/// How many bytes are taken at once, the UART's FIFO: for the rest the interrupt comes again, before a guest runs if
/// they are there already. Only who has the machine's console can type so fast.
const AT_ONCE: usize = 32;

one_per_machine! {
    /// Who gets what is typed.
    fn selection() -> &'static AtomicUsize = AtomicUsize::new(0);
}

one_per_machine! {
    /// What was typed before.
    fn escape() -> &'static Mutex<Escape> = Mutex::new(Escape::new());
}

/// Takes what the UART has received. On any CPU.
pub fn receive() {
    let mut escape = escape().lock();
    for _ in 0..AT_ONCE {
        let Some(byte) = console::lock().wire().receive() else { return };
        match escape.take(byte) {
            Input::Byte(byte) => {
                if let Some(vm) = selected() {
                    give(vm, byte);
                }
            }
            Input::NextVm => select_next(),
            Input::Nothing => {}
        }
    }
}

fn give(vm: &Vm, byte: u8) {
    let machine = &vm.machine;
    let (lost, vcpus) = machine.devices.uart.with(&machine.vgic, |uart| uart.receive(byte, timer::now()));
    vm.notify(vcpus);
    if lost == 1 {
        log::info!("{}: does not read what is typed; more of it is lost", vm.config.id);
    }
}

/// The selected VM; if it has ended, the next one that has not.
fn selected() -> Option<&'static Vm> {
    let vm = *vm::all().get(selection().load(Ordering::Relaxed))?;
    if !vm.is_alive() {
        select_next();
    }
    vm::all().get(selection().load(Ordering::Relaxed)).copied().filter(|vm| vm.is_alive())
}

/// Selects the next VM that has not ended.
fn select_next() {
    let (vms, selected) = (vm::all(), selection().load(Ordering::Relaxed));
    let mut others = (selected + 1..vms.len()).chain(0..=selected);
    if let Some(next) = others.find(|index| vms.get(*index).is_some_and(|vm| vm.is_alive())) {
        selection().store(next, Ordering::Relaxed);
        log::info!("console: {}", vms[next].config.id);
    }
}
