// SPDX-License-Identifier: MIT OR Apache-2.0
//! What only a CPU itself touches: the vCPUs that it has, and when it has to look after them.

use crate::arch::{pmu, timer};
use crate::notification::Ear;
use crate::percpu;
use crate::scheduler::{SLOTS, Turns};
use crate::vcpu::Vcpu;
use crate::vm::Vm;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use heapless::Vec;

/// How often a CPU that runs a guest looks around in any case.
pub(super) const TICKS_PER_SECOND: u64 = 20;

/// A vCPU of a CPU's, with what the CPU needs to know of it without touching it: whoever serves an exit has it.
pub(super) struct Tenant {
    pub(super) vcpu: *mut Vcpu,
    pub(super) vm: Arc<Vm>,
    pub(super) index: usize,
}

/// A place for a vCPU.
pub(super) struct Slot {
    pub(super) tenant: Option<Tenant>,
    /// It has been started and not been switched off.
    pub(super) on: bool,
    /// When its timers want it back, while it is not loaded.
    pub(super) deadline: Option<u64>,
    /// When a device of its VM's has to be looked at, which it was the last to touch.
    pub(super) chore: Option<u64>,
}

/// What only the CPU itself touches.
pub(super) struct Local {
    pub(super) slots: Vec<Slot, SLOTS>,
    /// Whose registers it has.
    pub(super) loaded: Option<usize>,
    pub(super) turns: Turns,
    /// How long at most it does not look around while it runs a guest.
    pub(super) tick: u64,
    /// How it hears of what the TEE notifies VMs of.
    pub(super) ear: Ear,
    /// Whether instructions are counted, and the counts when they were last looked at.
    pub(super) counts: Option<(u32, u32)>,
}

impl Slot {
    pub(super) const EMPTY: Self = Self { tenant: None, on: false, deadline: None, chore: None };
}

impl Local {
    /// That of a CPU that has nobody.
    pub(super) const NEW: Self =
        Self { slots: Vec::new(), loaded: None, turns: Turns::new(), tick: 0, ear: Ear::new(), counts: None };

    /// Sets the hypervisor's timer to when this CPU has to look around next, while a guest runs.
    pub(super) fn arm(&mut self, now: u64) {
        let mut next = (now + self.tick).min(self.ear.opens());
        let (ready, turns) = (percpu::this().queue.ready(), &self.turns);
        if ready & !(1 << turns.current()) != 0 {
            next = if turns.has_woken(ready) { now } else { next.min(turns.ends()) };
        }
        for (number, slot) in self.slots.iter().enumerate() {
            if let Some(deadline) = slot.deadline
                && ready & 1 << number == 0
            {
                next = next.min(turns.wakes_at(number, deadline));
            }
            if let Some(chore) = slot.chore {
                next = next.min(chore);
            }
        }
        timer::set(Some(next));
    }

    /// Sets the hypervisor's timer while nobody has anything to do.
    pub(super) fn arm_idle(&mut self) {
        let mut next = self.ear.opens();
        for slot in &self.slots {
            next = next.min(slot.deadline.unwrap_or(u64::MAX)).min(slot.chore.unwrap_or(u64::MAX));
        }
        timer::set((next != u64::MAX).then_some(next));
    }

    /// Adds what was counted since the last time to the VM whose vCPU is loaded.
    pub(super) fn account(&mut self) {
        let vm = self.loaded.and_then(|number| self.slots.get(number)?.tenant.as_ref()).map(|it| &it.vm);
        if let Some(vm) = vm {
            charge_waits(vm);
        }
        let Some(before) = self.counts else { return };
        let now = pmu::sample();
        self.counts = Some(now);
        if let Some(vm) = vm {
            vm.instructions[0].fetch_add(u64::from(now.0.wrapping_sub(before.0)), Ordering::Relaxed);
            vm.instructions[1].fetch_add(u64::from(now.1.wrapping_sub(before.1)), Ordering::Relaxed);
        }
    }
}

/// Adds the looks at locks that another CPU had to the VM for which this CPU looked.
pub(super) fn charge_waits(vm: &Vm) {
    percpu::this().add_waits(&vm.waits);
}
