// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether what is in list registers is still what the interrupts' owners want.

use super::{Lists, note, place};
use crate::arch::interface::{ListRegisters, TIMERS};
use crate::trace::record;
use crate::vgic::list_register::{self, ACTIVE, HW, PENDING, STATE};
use crate::vgic::{VcpuMask, Vgic};
use core::sync::atomic::Ordering::SeqCst;
use shared_abi::trace::Event;

impl Lists {
    /// Looks at the interrupts that are in list registers: notes which are active, takes back what the guest or the
    /// device has withdrawn since, adds an edge that came while its predecessor is handled.
    pub(super) fn revise(&mut self, vgic: &Vgic, vcpu: usize, timers: u32, lrs: &mut impl ListRegisters) -> VcpuMask {
        let groups = vgic.enabled_groups.load(SeqCst);
        let mut others = 0;
        let mut used = self.used;
        while used != 0 {
            let index = used.trailing_zeros() as usize;
            used &= used - 1;
            let intid = u32::from(self.intids[index]);
            let (n, bit) = place(intid);
            let bank = vgic.bank(vcpu, n);
            let before = lrs.read(index);
            let mut value = before;
            let mut taken = value & PENDING != 0 && self.taken & 1 << index != 0;
            let timer = n == 0 && bit & TIMERS != 0;
            let level = timer || bank.edge.get() & bit == 0;
            let line = if timer { timers } else { bank.line.get() } & bit != 0;

            if bank.wishes() & bit != 0 {
                if bank.deactivate.clear(bit) != 0 && value & ACTIVE != 0 {
                    value &= !ACTIVE;
                    self.by_register &= !(1 << index);
                    if value & HW != 0 {
                        self.deactivate_timer(bit, lrs);
                    }
                }
                if bank.activate.clear(bit) != 0 && value & ACTIVE == 0 {
                    value |= ACTIVE;
                    self.by_register |= 1 << index;
                }
                if bank.withdraw_latched(bit) != 0 && value & PENDING != 0 {
                    taken = false;
                    if !(level && line) {
                        value &= !PENDING;
                    }
                }
            }
            if level && value & PENDING != 0 && !line && value & HW != 0 {
                // Without its line it is no longer linked to the physical interrupt.
                self.deactivate_timer(bit, lrs);
                value = list_register::compose(intid, bank, value & STATE, false);
            }
            let wanted = bank.deliverable(groups) & bit != 0 && (n == 0 || vgic.routed(n - 1, bit, vcpu) != 0);
            if value & PENDING != 0 && !wanted || level && value & STATE == STATE {
                // It waits in the bank.
                if taken {
                    bank.latched.set(bit);
                }
                value &= !PENDING;
            } else if level && value & PENDING != 0 && !line && !taken {
                value &= !PENDING;
            }
            let mergeable = value & STATE == PENDING || value & ACTIVE != 0 && !level;
            if wanted && mergeable && bank.latched.clear(bit) != 0 {
                if value & PENDING == 0 {
                    record(vgic.client, || Event::VirtualInterrupt { vcpu: vcpu as u8, intid });
                }
                value |= PENDING;
                taken = true;
            } else if value & ACTIVE != 0 && bank.latched.get() & bit != 0 {
                // It comes next, here or elsewhere: one has to hear when this one is over.
                value = list_register::with_maintenance(value);
            }
            if value & STATE == PENDING {
                value = list_register::with_configuration(value, intid, bank);
            }

            self.taken = self.taken & !(1 << index) | if taken && value & PENDING != 0 { 1 << index } else { 0 };
            if value & STATE == 0 {
                lrs.write(index, 0);
                self.used &= !(1 << index);
                others |= self.end(vgic, vcpu, intid);
                continue;
            }
            if value != before {
                lrs.write(index, value);
            }
            note(&bank.active, bit, value & ACTIVE != 0);
            note(&bank.offered, bit, value & PENDING != 0);
        }
        others
    }
}
