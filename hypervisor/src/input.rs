// SPDX-License-Identifier: MIT OR Apache-2.0
//! Console input: from the UART to the selected VM.
//!
//! All that comes in is taken, whether or not the selected VM reads: behind it may stand the keys that select another.
#![forbid(unsafe_code)]

use crate::arch::{one_per_machine, timer};
use crate::console::{Escape, Input};
use crate::platform::console;
use crate::registry;
use crate::vm::Vm;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;

/// How many bytes are taken at once, the UART's FIFO: for the rest the interrupt comes again, before a guest runs if
/// they are there already. Only who has the machine's console can type so fast.
const AT_ONCE: usize = 32;

one_per_machine! {
    /// Says who gets what is typed: its place among the VMs.
    fn selection() -> &'static AtomicUsize = AtomicUsize::new(0);
}

one_per_machine! {
    /// Says what was typed before.
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
                    give(&vm, byte);
                }
            }
            Input::NextVm => drop(select_next()),
            Input::Nothing => {}
        }
    }
}

fn give(vm: &Vm, byte: u8) {
    let (lost, vcpus) = vm.devices.uart.with(&vm.vgic, |uart| uart.receive(byte, timer::now()));
    vm.notify(vcpus);
    if lost == 1 {
        log::info!("{}: does not read what is typed; more of it is lost", vm.config.id);
    }
}

/// Returns the selected VM; if it is gone, the next one.
fn selected() -> Option<Arc<Vm>> {
    registry::get(selection().load(Ordering::Relaxed)).or_else(select_next)
}

/// Selects the next VM.
fn select_next() -> Option<Arc<Vm>> {
    let (place, vm) = registry::after(selection().load(Ordering::Relaxed))?;
    selection().store(place, Ordering::Relaxed);
    log::info!("console: {}", vm.config.id);
    Some(vm)
}
