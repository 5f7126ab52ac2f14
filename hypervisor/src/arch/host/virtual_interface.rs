// SPDX-License-Identifier: MIT OR Apache-2.0
//! The loaded vCPU's view of interrupts.
#![forbid(unsafe_code)]

use super::interface::VirtualInterface;
use super::machine::with_cpu;
use super::timer;
use crate::arch::interface::{Control, Filter, ListRegisters};

/// The list registers of this CPU, with those of the loaded vCPU in them.
pub struct Interface;

impl ListRegisters for Interface {
    fn count(&self) -> usize {
        with_cpu(|cpu| cpu.interface.count())
    }

    fn finished(&self) -> u16 {
        with_cpu(|cpu| cpu.interface.finished())
    }

    fn read(&self, index: usize) -> u64 {
        with_cpu(|cpu| cpu.interface.read(index))
    }

    fn write(&mut self, index: usize, value: u64) {
        with_cpu(|cpu| cpu.interface.write(index, value));
    }

    fn set_control(&mut self, control: Control) {
        with_cpu(|cpu| cpu.interface.set_control(control));
    }

    fn take_unlisted_ends(&mut self) -> u32 {
        with_cpu(|cpu| cpu.interface.take_unlisted_ends())
    }

    fn filter(&self) -> Filter {
        with_cpu(|cpu| cpu.interface.filter())
    }

    fn priority_mask(&self) -> u8 {
        with_cpu(|cpu| cpu.interface.priority_mask())
    }

    fn splits_ends(&self) -> bool {
        with_cpu(|cpu| cpu.interface.splits_ends())
    }

    fn raise_priority(&mut self, register: u64) {
        with_cpu(|cpu| cpu.interface.raise_priority(register));
    }

    fn drop_priority(&mut self) {
        with_cpu(|cpu| cpu.interface.drop_priority());
    }

    fn deactivate(&mut self, intid: u32) {
        with_cpu(|cpu| cpu.interface.deactivate(intid));
    }

    fn timers(&self) -> u32 {
        timer::guest_timers()
    }
}

/// The virtual CPU interface of a vCPU that is not loaded.
#[derive(Clone)]
pub struct Saved(VirtualInterface);

impl Saved {
    /// Returns the interface of a vCPU out of reset: nothing pending, all groups off, priority mask 0.
    pub fn reset() -> Self {
        Self(VirtualInterface::new(with_cpu(|cpu| cpu.interface.count())))
    }

    /// Takes the state from the CPU.
    pub fn save(&mut self) {
        with_cpu(|cpu| {
            let none = VirtualInterface::new(cpu.interface.count());
            self.0 = core::mem::replace(&mut cpu.interface, none);
        });
    }

    /// Gives the state to the CPU. Which physical interrupts are active the interrupt controller says.
    pub fn restore(&self) {
        with_cpu(|cpu| cpu.interface = self.0.clone());
    }
}
