// SPDX-License-Identifier: MIT OR Apache-2.0
//! What interrupts a CPU, and what it looks after then.

use super::ThisCpu;
use crate::arch::interface::{PHYSICAL_TIMER, VIRTUAL_TIMER};
use crate::arch::{interrupt, timer};
use crate::input;
use crate::interrupts::{HYPERVISOR_TIMER, KICK, MAINTENANCE, UART};
use crate::percpu;
use crate::trace::{Client, record};
use core::sync::atomic::Ordering;
use shared_abi::trace::Event;

/// How many interrupts are served before a guest goes on: one of each kind, so that nobody who causes them keeps it
/// waiting.
const AT_ONCE: usize = 8;

impl ThisCpu {
    /// Serves what interrupted a guest, and gives the CPU to another vCPU if that is to run now.
    #[inline(always)]
    pub fn interrupted(mut self) -> Self {
        let mut look_around = false;
        for _ in 0..AT_ONCE {
            let Some(intid) = interrupt::acknowledge() else { break };
            look_around |= self.interrupt(intid);
        }
        if look_around { self.look_around() } else { self }
    }

    pub(super) fn serve_interrupts(&mut self) {
        for _ in 0..AT_ONCE {
            let Some(intid) = interrupt::acknowledge() else { return };
            record(Client::HYPERVISOR, || Event::Wake { intid });
            self.interrupt(intid);
        }
    }

    /// Serves interrupts where no guest runs that they could interrupt.
    pub(super) fn look_outside(&mut self) {
        self.serve_interrupts();
        self.local().arm(timer::now());
    }

    /// Serves an interrupt of this CPU's. Whether who runs may have to make room now.
    #[inline]
    fn interrupt(&mut self, intid: u32) -> bool {
        if intid == VIRTUAL_TIMER || intid == PHYSICAL_TIMER {
            self.guest_timer(intid);
            return false;
        }
        match intid {
            HYPERVISOR_TIMER => {
                self.local().turns.charge(timer::now());
                // Its line stays up until it is set anew.
                timer::set(None);
                self.tick();
            }
            KICK => {
                self.local().turns.charge(timer::now());
                // From here on another kick means something new.
                percpu::this().kicked.store(false, Ordering::SeqCst);
            }
            UART => input::receive(),
            // The virtual interface wants attention: the list registers are looked at below.
            MAINTENANCE => {}
            _ => self.local().ear.hear(intid),
        }
        if self.local().loaded.is_some() {
            self.vcpu().refresh();
        }
        interrupt::end(intid);
        interrupt::deactivate(intid);
        intid == HYPERVISOR_TIMER || intid == KICK
    }

    fn look_around(mut self) -> Self {
        let ready = percpu::this().queue.ready();
        let local = self.local();
        let current = local.turns.current();
        let tenant = local.slots.get(current).and_then(|slot| slot.tenant.as_ref());
        let stops = ready & 1 << current == 0 || tenant.is_some_and(|it| it.vm.is_stopping());
        if local.turns.is_over(ready) || stops {
            return self.run_next(None);
        }
        let now = timer::now();
        local.turns.blame_newcomer(now);
        local.arm(now);
        self
    }

    /// Handles a timer of the loaded vCPU that has fired. Its interrupt stays active until the guest deactivates it.
    #[inline]
    fn guest_timer(&mut self, intid: u32) {
        interrupt::end(intid);
        let Some(number) = self.local().loaded else {
            // It was withdrawn on its way.
            interrupt::deactivate(intid);
            return;
        };
        self.vcpu().timer_fired(intid);
        percpu::this().queue.wake(number);
    }

    /// Does what is due: wakes vCPUs whose timer has fired while they were not loaded, looks after devices.
    fn tick(&mut self) {
        self.local().account();
        let now = timer::now();
        if self.local().ear.opens() <= now {
            self.local().ear.open();
        }
        for number in 0..self.local().slots.len() {
            let slot = &mut self.local().slots[number];
            if slot.deadline.is_some_and(|deadline| deadline <= now) {
                slot.deadline = None;
                percpu::this().queue.wake(number);
            }
            if slot.chore.is_some_and(|chore| chore <= now) {
                slot.chore = None;
                let before = timer::now();
                let next = slot.tenant.as_ref().and_then(|it| it.vm.look_at_devices(now));
                let local = self.local();
                local.slots[number].chore = next;
                local.turns.blame(number, timer::now() - before);
            }
        }
    }

    /// Sees to it that a device of the loaded vCPU's VM is looked at by then.
    pub fn look_at_devices_by(&mut self, time: u64) {
        let local = self.local();
        if let Some(slot) = local.loaded.and_then(|number| local.slots.get_mut(number)) {
            slot.chore = Some(slot.chore.map_or(time, |chore| chore.min(time)));
        }
    }
}
