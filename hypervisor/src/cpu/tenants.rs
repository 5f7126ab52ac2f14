// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which vCPUs a CPU has: they come, start, go off, and are let go of.

use super::slot::{Slot, Tenant, charge_waits};
use super::{ThisCpu, this_cpu};
use crate::arch::mmu;
use crate::arrivals;
use crate::lifecycle;
use crate::percpu;
use crate::trace::{Client, record};
use crate::vm::Vm;
use crate::vpsci::Start;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use shared_abi::trace::Event;
use shared_abi::trace::event::VmState;

impl ThisCpu {
    /// Says whether a vCPU that is ready can run: starts it if it is to start, stops it if its VM ends.
    pub(super) fn may_run(&mut self, number: usize) -> bool {
        let slot = self.local().slots.get(number);
        let runs = slot.is_some_and(|slot| slot.on && slot.tenant.as_ref().is_some_and(|it| !it.vm.is_stopping()));
        runs || self.may_run_now(number)
    }

    /// Says whether one can run that could not until now.
    #[cold]
    fn may_run_now(&mut self, number: usize) -> bool {
        let Some((vm, index)) = self.tenant(number) else { return false };
        let is_on = self.local().slots[number].on;
        if !is_on {
            // Asleep first, then the looks: whoever changes what is looked at wakes it afterwards.
            percpu::this().queue.sleep(number);
        }
        if !vm.is_alive() {
            self.let_go(number);
            return false;
        }
        if index == 0 && vm.is_resetting() {
            percpu::this().queue.wake(number);
            self.reset_some(&vm);
            return false;
        }
        if !is_on {
            self.local().account();
            let start = vm.take_start(index);
            charge_waits(&vm);
            let Some(start) = start else { return false };
            if index == 0 {
                record(Client::of(vm.config.id), || Event::VmState { state: VmState::Running });
            }
            self.start(number, start);
            percpu::this().queue.wake(number);
        }
        if vm.is_stopping() {
            self.switch_off(number);
            return false;
        }
        true
    }

    /// Returns who has a slot: a vCPU that has just been given to this CPU, perhaps.
    fn tenant(&mut self, number: usize) -> Option<(Arc<Vm>, usize)> {
        if self.local().slots.get(number).is_none_or(|slot| slot.tenant.is_none()) {
            // Asleep first, then the look: one that is given to this CPU in between wakes it again.
            percpu::this().queue.sleep(number);
            self.take_in();
        }
        let tenant = self.local().slots.get(number)?.tenant.as_ref()?;
        // It may be the one that was to wake.
        percpu::this().queue.wake(number);
        Some((Arc::clone(&tenant.vm), tenant.index))
    }

    /// Takes in the vCPUs that were given to this CPU.
    fn take_in(&mut self) {
        let stack = this_cpu().stack.load(Ordering::Relaxed);
        for mut vcpu in arrivals::take(percpu::this().index) {
            vcpu.frame.stack = stack;
            let local = self.local();
            let number = vcpu.place.slot;
            while local.slots.len() <= number && local.slots.push(Slot::EMPTY).is_ok() {}
            local.turns.admit(number);
            let (vm, index) = (Arc::clone(&vcpu.vm), vcpu.index);
            let tenant = Tenant { vcpu: Box::into_raw(vcpu), vm, index };
            local.slots[number] = Slot { tenant: Some(tenant), ..Slot::EMPTY };
        }
    }

    /// Lets go of a vCPU that is off and whose VM is over: nothing of either is left on this CPU.
    fn let_go(&mut self, number: usize) {
        percpu::this().queue.sleep(number);
        if self.local().loaded.is_none() {
            // Whose tables it walks, if on speculation, it left last.
            mmu::leave_guest();
        }
        let slot = core::mem::replace(&mut self.local().slots[number], Slot::EMPTY);
        if let Some(tenant) = slot.tenant {
            // SAFETY: it was a box's (`take_in`). It is off, so that it is not loaded, and nobody refers to it.
            drop(unsafe { Box::from_raw(tenant.vcpu) });
        }
    }

    /// Starts a vCPU, which comes out of reset.
    fn start(&mut self, number: usize, start: Start) {
        let slot = &mut self.local().slots[number];
        slot.on = true;
        if let Some(tenant) = &slot.tenant {
            // SAFETY: this CPU's vCPU; it is not loaded, because it was off, so that nobody refers to it.
            unsafe { (*tenant.vcpu).start(start) };
        }
    }

    /// Uses a turn of a VM's first vCPU to go on with the VM's reset.
    fn reset_some(&mut self, vm: &Vm) {
        self.unload();
        // SAFETY: the VM is resetting: all its vCPUs went off, and the first one, whose turn this is, starts none
        // before all is done.
        unsafe { vm.prepare_some() };
        charge_waits(vm);
        self.look_outside();
    }

    /// Switches off the vCPU that is loaded, which leaves the CPU to the one that is to run next.
    pub fn switch_off_loaded(mut self) -> Self {
        if let Some(number) = self.local().loaded {
            self.vcpu().give_back();
            self.switch_off(number);
        }
        self.schedule()
    }

    /// Stops a vCPU for good, and its VM if it was the last one.
    fn switch_off(&mut self, number: usize) {
        percpu::this().queue.sleep(number);
        if self.local().loaded == Some(number) {
            self.unload();
        }
        let slot = &mut self.local().slots[number];
        slot.on = false;
        slot.deadline = None;
        let Some(tenant) = &slot.tenant else { return };
        let (vm, index) = (Arc::clone(&tenant.vm), tenant.index);
        if vm.switch_off(index) {
            lifecycle::stopped(&vm);
        }
        charge_waits(&vm);
    }
}
