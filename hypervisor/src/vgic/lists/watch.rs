// SPDX-License-Identifier: MIT OR Apache-2.0
//! What of a guest's CPU interface is emulated: while a timer's interrupt is pending that it does not take at once, it
//! is looked whether the timer still says so when the guest looks.

use super::choice::ALL_GROUPS;
use super::{Lists, NONE, note, place};
use crate::arch::interface::{Control, Group, ListRegisters};
use crate::vgic::list_register::{self, ACTIVE, PENDING, STATE};
use crate::vgic::{VcpuMask, Vgic};

impl Lists {
    /// Says whether the guest's next look at its CPU interface is watched for.
    pub fn is_watched(&self) -> bool {
        self.control.acknowledge.is_some()
    }

    /// Lets be what the guest does to its CPU interface from now on. Says which other vCPUs have to look.
    pub fn unwatch(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        self.watch(None, lrs);
        self.inspect(vgic, vcpu, lrs)
    }

    /// Watches what the guest does to its CPU interface in this group, or nothing.
    fn watch(&mut self, group: Option<Group>, lrs: &mut impl ListRegisters) {
        if group != self.control.acknowledge {
            self.control.acknowledge = group;
            lrs.set_control(self.control);
        }
    }

    /// Answers the guest's read of ICC_IAR0_EL1 or ICC_IAR1_EL1 while that is watched: what it is given to handle
    /// (GICv3 §4.4.2), or `None` if it is to read again, unwatched; and which other vCPUs have to look.
    pub fn acknowledge(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        group: Group,
        lrs: &mut impl ListRegisters,
    ) -> (Option<u32>, VcpuMask) {
        // Nearly always it is the timer's, which is still up, and there is nothing else: the guest takes it by itself.
        let timers = self.timers & lrs.timers();
        let alone = timers == self.timers && timers & timers.wrapping_sub(1) == 0 && self.used == 1 && !self.irregular;
        if alone && lrs.finished() & self.used == 0 && lrs.filter().passes(lrs.read(0)) {
            self.watch(None, lrs);
            return (None, 0);
        }
        let (intid, others) = self.acknowledge_watched(vgic, vcpu, group, lrs);
        (Some(intid), others)
    }

    fn acknowledge_watched(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        group: Group,
        lrs: &mut impl ListRegisters,
    ) -> (u32, VcpuMask) {
        let others = self.inspect(vgic, vcpu, lrs);
        let Some(index) = self.first_pending(lrs) else { return (NOTHING, others) };
        let value = lrs.read(index);
        if list_register::group(value) != group || !lrs.filter().passes(value) {
            return (NOTHING, others);
        }
        let (n, bit) = place(self.intids[index].into());
        lrs.write(index, value & !PENDING | ACTIVE);
        lrs.raise_priority(value);
        self.taken &= !(1 << index);
        let bank = vgic.bank(vcpu, n);
        note(&bank.active, bit, true);
        note(&bank.offered, bit, false);
        self.update_watch(vgic, vcpu, lrs);
        (u32::from(self.intids[index]), others)
    }

    /// Does what the guest's write of ICC_EOIR0_EL1 or ICC_EOIR1_EL1 asks, while that is watched. Says which other
    /// vCPUs have to look.
    pub fn end_by_guest(&mut self, vgic: &Vgic, vcpu: usize, intid: u32, lrs: &mut impl ListRegisters) -> VcpuMask {
        // GICv3 §2.2.1: these are no interrupts, and their ends are ignored.
        if (1020..=NOTHING).contains(&intid) {
            return self.inspect(vgic, vcpu, lrs);
        }
        lrs.drop_priority();
        if lrs.splits_ends() {
            return self.inspect(vgic, vcpu, lrs);
        }
        self.deactivate_here(vgic, vcpu, intid).look | self.inspect(vgic, vcpu, lrs)
    }

    /// Says what ICC_HPPIR0_EL1 or ICC_HPPIR1_EL1 shows: the most urgent pending interrupt if it is in that group, 1023
    /// otherwise.
    pub fn most_urgent_pending(&self, group: Group, lrs: &impl ListRegisters) -> u32 {
        let first = self.first_pending(lrs).map(|index| lrs.read(index));
        first.filter(|value| list_register::group(*value) == group).map_or(NOTHING, |value| value as u32)
    }

    /// Returns the list register of the most urgent pending interrupt of the groups that the guest lets through.
    fn first_pending(&self, lrs: &impl ListRegisters) -> Option<usize> {
        let groups = lrs.filter().groups;
        let on = |value: u64| groups & 1 << (list_register::group(value) as u8) != 0;
        (0..16)
            .filter(|index| self.used & 1 << index != 0)
            .filter(|index| lrs.read(*index) & STATE == PENDING && on(lrs.read(*index)))
            .min_by_key(|index| lrs.read(*index) >> 48 & 0xFF)
    }

    /// Watches what the guest does to its CPU interface if a timer's interrupt is pending, which the guest does not
    /// take at once.
    pub(super) fn watch_timer(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        intid: u32,
        group: u32,
        lrs: &mut impl ListRegisters,
    ) {
        if self.timers & vgic.cpus[vcpu].bank.offered.get() & 1 << intid != 0 {
            self.watch(Some(if group == 0 { Group::Zero } else { Group::One }), lrs);
        }
    }

    /// Updates what the guest is watched for: nothing, without a timer's interrupt that is pending.
    pub(super) fn update_watch(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) {
        let groups = if self.overflow { lrs.filter().groups } else { 0 };
        let control = Control {
            none_pending: self.overflow,
            enabled: if self.overflow { ALL_GROUPS & !groups } else { 0 },
            // One that is off leaves room for the other one, if that is on. QEMU (7.2 to 10) does not see that group 0
            // is; it takes it for off as soon as group 1 is, and would interrupt for ever if only group 0
            // were on.
            disabled: if groups == ALL_GROUPS { ALL_GROUPS } else { 0 },
            unlisted_end: self.parked != NONE,
            acknowledge: self.control.acknowledge.filter(|_| self.timers & vgic.cpus[vcpu].bank.offered.get() != 0),
        };
        if control != self.control {
            self.control = control;
            self.irregular = control != Control { acknowledge: control.acknowledge, ..Control::default() };
            lrs.set_control(control);
        }
    }
}

/// ICC_IAR and ICC_HPPIR, if there is nothing.
const NOTHING: u32 = 1023;
