//! Console input: from the UART to the selected VM.
#![forbid(unsafe_code)]

use crate::console::{Escape, Input};
use crate::platform::console;
use crate::vm::{self, Vm};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use spin::Mutex;

static SELECTED: AtomicUsize = AtomicUsize::new(0);
static ESCAPE: Mutex<Escape> = Mutex::new(Escape::new());
/// The selected VM takes no more: what comes in waits in the UART.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Takes what the UART has received. On any CPU.
pub fn receive() {
    let mut escape = ESCAPE.lock();
    while !STOPPED.load(Ordering::Relaxed) {
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
    console::lock().wire().set_receive_interrupt(false);
}

fn give(vm: &Vm, byte: u8) {
    let mut machine = vm.machine.lock();
    if !machine.uart.receive(byte) {
        STOPPED.store(true, Ordering::Relaxed);
    }
    machine.update_uart();
    let stale = machine.vgic.take_stale();
    drop(machine);
    vm.notify(stale);
}

/// The selected VM; if it has ended, the next one that has not.
fn selected() -> Option<&'static Vm> {
    let vm = *vm::all().get(SELECTED.load(Ordering::Relaxed))?;
    if !vm.is_alive() {
        select_next();
    }
    vm::all().get(SELECTED.load(Ordering::Relaxed)).copied().filter(|vm| vm.is_alive())
}

/// Selects the next VM that has not ended.
fn select_next() {
    let (vms, selected) = (vm::all(), SELECTED.load(Ordering::Relaxed));
    let mut others = (selected + 1..vms.len()).chain(0..=selected);
    if let Some(next) = others.find(|index| vms.get(*index).is_some_and(|vm| vm.is_alive())) {
        SELECTED.store(next, Ordering::Relaxed);
        log::info!("console: {}", vms[next].config.id);
    }
}

/// A VM has read from its UART and has room again.
#[inline]
pub fn resume() {
    if STOPPED.load(Ordering::Relaxed) {
        STOPPED.store(false, Ordering::Relaxed);
        console::lock().wire().set_receive_interrupt(true);
    }
}
