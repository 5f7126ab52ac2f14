// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which interrupts are in list registers: the most urgent pending ones, then active ones.

use super::{Banks, Lists, NONE, note, place};
use crate::arch::interface::ListRegisters;
use crate::trace::record;
use crate::vgic::list_register::{self, ACTIVE, PENDING};
use crate::vgic::redistributor::News;
use crate::vgic::{BANKS, Vgic, each};
use core::sync::atomic::Ordering::SeqCst;
use shared_abi::trace::Event;

impl Lists {
    /// Puts what is pending into list registers, and what is active where there is room. Whether to look at them again
    /// ([`Self::list`]).
    #[inline]
    pub(super) fn fill(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        news: News,
        timers: u32,
        lrs: &mut impl ListRegisters,
    ) -> bool {
        let groups = vgic.enabled_groups.load(SeqCst);
        let own = &vgic.cpus[vcpu].bank;
        let mut ready = NONE;
        let mut resting = NONE;
        ready[0] = own.ready_with(groups, timers);
        resting[0] = own.resting();
        if self.overflow || news.contains(News::SHARED) {
            for n in 1..BANKS {
                let bank = vgic.bank(vcpu, n);
                ready[n] = vgic.routed(n - 1, bank.ready(groups), vcpu);
                resting[n] = vgic.routed(n - 1, bank.resting(), vcpu);
            }
        }
        let free = !self.used & ((1u32 << lrs.count()) - 1) as u16;
        // Nearly always it is one, or none.
        if resting == NONE && self.parked == NONE && !self.overflow {
            match only(&ready) {
                Few::None => return false,
                Few::One(intid) if free != 0 => {
                    return self.list(vgic, vcpu, free.trailing_zeros() as usize, intid, timers, lrs);
                }
                _ => {}
            }
        }
        self.fill_by_urgency(vgic, vcpu, ready, resting, timers, lrs)
    }

    #[inline(never)]
    fn fill_by_urgency(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        mut ready: Banks,
        mut resting: Banks,
        timers: u32,
        lrs: &mut impl ListRegisters,
    ) -> bool {
        let mut again = false;
        let all = ((1u32 << lrs.count()) - 1) as u16;
        let groups = lrs.filter().groups;
        while let Some(urgency) = most_urgent(vgic, vcpu, &ready, groups) {
            let (.., intid) = urgency;
            let (n, bit) = place(intid);
            let free = !self.used & all;
            let index = if free != 0 {
                free.trailing_zeros() as usize
            } else {
                let Some(index) = self.least_needed(vgic, vcpu, urgency, groups, lrs) else { break };
                if self.evict(vgic, vcpu, index, lrs) & ACTIVE == 0 {
                    let (n, bit) = place(self.intids[index].into());
                    ready[n] |= bit;
                }
                index
            };
            ready[n] &= !bit;
            again |= self.list(vgic, vcpu, index, intid, timers, lrs);
        }
        self.overflow = ready != NONE;
        // Room for active ones: the guest ends the most urgent one first.
        for (resting, parked) in resting.iter_mut().zip(self.parked) {
            *resting |= parked;
        }
        while let free = !self.used & all
            && free != 0
            && let Some((.., intid)) = most_urgent(vgic, vcpu, &resting, ALL_GROUPS)
        {
            let (n, bit) = place(intid);
            resting[n] &= !bit;
            again |= self.list_active(vgic, vcpu, free.trailing_zeros() as usize, intid, lrs);
        }
        again
    }

    /// Claims an interrupt and puts it into a list register. Whether somebody changed something about it before he
    /// could know who has it: then it has to be revised.
    #[inline]
    pub(super) fn list(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        index: usize,
        intid: u32,
        timers: u32,
        lrs: &mut impl ListRegisters,
    ) -> bool {
        let (n, bit) = place(intid);
        let bank = vgic.bank(vcpu, n);
        if !self.claim(vgic, vcpu, intid) {
            return false;
        }
        if n != 0 && bank.active.get() & bit != 0 {
            // Somebody made it active before it was claimed.
            return self.not_listed(vgic, vcpu, n, bit);
        }
        let taken = bank.latched.clear(bit) != 0;
        let linked = n == 0 && timers & bit != 0;
        if !taken && !linked && bank.line.get() & !bank.edge.get() & bit == 0 {
            // Somebody took the edge back before it was claimed.
            return self.not_listed(vgic, vcpu, n, bit);
        }
        bank.offered.set(bit);
        self.used |= 1 << index;
        self.intids[index] = intid as u16;
        self.taken = self.taken & !(1 << index) | u16::from(taken) << index;
        self.by_register &= !(1 << index);
        lrs.write(index, list_register::compose(intid, bank, PENDING, linked));
        record(vgic.client, || Event::VirtualInterrupt { vcpu: vcpu as u8, intid });
        n != 0
    }

    #[cold]
    fn not_listed(&mut self, vgic: &Vgic, vcpu: usize, n: usize, bit: u32) -> bool {
        self.owed |= self.let_go(vgic, vcpu, n, bit);
        false
    }

    /// Puts an active interrupt into a list register. Whether to look at it again: as for [`Self::list`], or because it
    /// became pending again while it was parked.
    fn list_active(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        index: usize,
        intid: u32,
        lrs: &mut impl ListRegisters,
    ) -> bool {
        let (n, bit) = place(intid);
        let bank = vgic.bank(vcpu, n);
        self.by_register &= !(1 << index);
        if self.parked[n] & bit == 0 {
            if !self.claim(vgic, vcpu, intid) {
                return false;
            }
            if bank.active.get() & bit == 0 {
                self.owed |= self.let_go(vgic, vcpu, n, bit);
                return false;
            }
            self.by_register |= 1 << index;
        }
        self.parked[n] &= !bit;
        self.used |= 1 << index;
        self.intids[index] = intid as u16;
        self.taken &= !(1 << index);
        let linked = n == 0 && self.timers & bit != 0;
        lrs.write(index, list_register::compose(intid, bank, ACTIVE, linked));
        n != 0 || bank.latched.get() & bit != 0
    }

    /// Becomes the holder of an interrupt; `false` if somebody else is at the moment, who will say so when it is free.
    #[inline]
    fn claim(&self, vgic: &Vgic, vcpu: usize, intid: u32) -> bool {
        let (n, bit) = place(intid);
        let claimed = vgic.bank(vcpu, n).held.set(bit) != 0;
        if claimed && n != 0 {
            vgic.holders[intid as usize - 32].store(vcpu as u8, SeqCst);
        }
        claimed
    }

    /// Chooses the list register to make room in for a pending interrupt: that of the least urgent active interrupt, or
    /// of the least urgent pending one that is less urgent.
    fn least_needed(
        &self,
        vgic: &Vgic,
        vcpu: usize,
        urgency: Urgency,
        groups: u8,
        lrs: &impl ListRegisters,
    ) -> Option<usize> {
        let mut worst: Option<(bool, Urgency, usize)> = None;
        for index in (0..16).filter(|index| self.used & 1 << index != 0) {
            let (value, intid) = (lrs.read(index), self.intids[index].into());
            let held_back = !list_register::lets_through(groups, intid, vgic.bank(vcpu, place(intid).0));
            let this = (value & ACTIVE != 0, (held_back, (value >> 48) as u8, intid), index);
            if this.0 || (this.1.0, this.1.1) > (urgency.0, urgency.1) {
                worst = worst.max(Some(this));
            }
        }
        worst.map(|(.., index)| index)
    }

    /// Takes an interrupt out of its list register: a pending one waits in its bank, an active one is parked. What the
    /// list register was.
    pub(super) fn evict(&mut self, vgic: &Vgic, vcpu: usize, index: usize, lrs: &mut impl ListRegisters) -> u64 {
        let (n, bit) = place(self.intids[index].into());
        let bank = vgic.bank(vcpu, n);
        let value = lrs.read(index);
        lrs.write(index, 0);
        self.used &= !(1 << index);
        if value & PENDING != 0 && self.taken & 1 << index != 0 {
            bank.latched.set(bit);
        }
        self.taken &= !(1 << index);
        note(&bank.offered, bit, false);
        note(&bank.active, bit, value & ACTIVE != 0);
        if value & ACTIVE != 0 && self.by_register & 1 << index == 0 {
            if self.parked == NONE {
                // What was counted until now were ends of nothing.
                lrs.take_unlisted_ends();
            }
            self.parked[n] |= bit;
        } else {
            self.owed |= self.let_go(vgic, vcpu, n, bit);
        }
        value
    }
}

/// How urgent an interrupt is, the less the more: whether the guest holds its group back, its priority, its INTID.
type Urgency = (bool, u8, u32);

pub(super) const ALL_GROUPS: u8 = 3;

/// Returns the most urgent interrupt of these, if the guest lets these groups through.
pub(super) fn most_urgent(vgic: &Vgic, vcpu: usize, banks: &Banks, groups: u8) -> Option<Urgency> {
    let mut best: Option<Urgency> = None;
    for (n, bits) in banks.iter().enumerate() {
        let bank = vgic.bank(vcpu, n);
        each(*bits, |bit| {
            let this = (!list_register::lets_through(groups, bit, bank), bank.priority(bit), n as u32 * 32 + bit);
            best = Some(best.map_or(this, |best| best.min(this)));
        });
    }
    best
}

/// How many interrupts there are, as far as it matters.
enum Few {
    None,
    One(u32),
    More,
}

#[inline]
fn only(ready: &Banks) -> Few {
    let mut few = Few::None;
    for (n, ready) in (0u32..).zip(ready) {
        if *ready != 0 {
            if !matches!(few, Few::None) || *ready & (*ready - 1) != 0 {
                return Few::More;
            }
            few = Few::One(n * 32 + ready.trailing_zeros());
        }
    }
    few
}
