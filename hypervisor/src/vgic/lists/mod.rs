// SPDX-License-Identifier: MIT OR Apache-2.0
//! A vCPU's list registers. They and what is noted here belong to the CPU on which the vCPU is, alone.
//!
//! As many pending interrupts as there is room for are in list registers, the most urgent ones; where there is still
//! room, active ones are. Others that the guest handles are *parked*: noted here. It ends those in the order of their
//! priorities by EOIR, and the CPU counts what it does not find; by DIR, which traps, in any order. Urgent is first of
//! all what the guest lets through.
#![forbid(unsafe_code)]

mod choice;
mod revise;
mod watch;

use super::bank::Flags;
use super::list_register::{HW, PENDING, STATE};
use super::redistributor::News;
use super::{BANKS, Concerned, VcpuMask, Vgic, each};
use crate::arch::interface::{Control, ListRegisters, TIMERS};
use choice::{ALL_GROUPS, most_urgent};
use core::sync::atomic::Ordering::SeqCst;

/// Interrupts by bank: a vCPU's own, then the shared ones.
type Banks = [u32; BANKS];
const NONE: Banks = [0; BANKS];

/// What is in a vCPU's list registers, and what would be.
#[derive(Clone, Debug, Default)]
pub struct Lists {
    /// List registers in use.
    used: u16,
    /// What is in them.
    intids: [u16; 16],
    /// Those that are pending because the interrupt was latched, not because of its line.
    taken: u16,
    /// Those that are active because somebody said so by register: the guest does not handle them, and won't end them.
    by_register: u16,
    /// Interrupts that the guest handles and that are in no list register.
    parked: Banks,
    /// Timers whose physical interrupt was taken and is active.
    timers: u32,
    /// Who has to be told of what was let go while list registers were filled.
    owed: VcpuMask,
    /// More is pending than fits.
    overflow: bool,
    /// What leads to an exit: among that, while a timer's interrupt is pending that the guest does not take yet, its
    /// looks ([`watch`]).
    control: Control,
    /// Any of what leads to an exit but that: the guest does not only take what is in list registers.
    irregular: bool,
}

fn place(intid: u32) -> (usize, u32) {
    (intid as usize / 32, 1 << (intid % 32))
}

impl Lists {
    /// Makes lists in which nothing is.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the timers whose physical interrupts have to be active while the vCPU is loaded.
    pub fn timers_in_flight(&self) -> u32 {
        self.timers
    }

    /// Brings list registers and what is known of the interrupts into agreement. Which other vCPUs have to look.
    #[inline]
    pub fn refresh(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let news = vgic.cpus[vcpu].take_news();
        let over = self.used & lrs.finished();
        // A timer's line may have fallen; an end may have been counted.
        let has_fallen = self.timers != 0 && self.timers & !lrs.timers() != 0;
        if news.is_empty() && over == 0 && !has_fallen && !self.irregular {
            return 0;
        }
        self.renew(vgic, vcpu, news, over, 0, lrs)
    }

    /// Takes up a timer of the loaded vCPU that has fired, whose physical interrupt is active now. `masked` are the
    /// groups that the guest does not take before it has done something else: bit 0 and bit 1.
    #[inline]
    pub fn timer_fired(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        intid: u32,
        masked: u8,
        lrs: &mut impl ListRegisters,
    ) -> VcpuMask {
        let news = vgic.cpus[vcpu].take_news();
        let over = self.used & lrs.finished();
        let others = self.renew(vgic, vcpu, news, over, 1 << intid & TIMERS, lrs);
        let bank = &vgic.cpus[vcpu].bank;
        let group = bank.group.get() >> (intid % 32) & 1;
        if masked >> group & 1 != 0 || lrs.priority_mask() <= bank.priority(intid) {
            self.watch_timer(vgic, vcpu, intid, group, lrs);
        }
        others
    }

    /// Brings all that is known up to date: for who reads states. Which other vCPUs have to look.
    pub fn inspect(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let news = vgic.cpus[vcpu].take_news();
        let over = self.used & lrs.finished();
        self.renew(vgic, vcpu, news, over, 0, lrs)
    }

    /// Says whether the guest would be told of an interrupt, so that it need not wait.
    pub fn has_deliverable(&self, lrs: &impl ListRegisters) -> bool {
        let mut used = self.used;
        let mut filter = None;
        while used != 0 {
            let index = used.trailing_zeros() as usize;
            used &= used - 1;
            let value = lrs.read(index);
            if value & STATE == PENDING && filter.get_or_insert_with(|| lrs.filter()).passes(value) {
                return true;
            }
        }
        false
    }

    /// Deactivates an interrupt, as the guest does by ICC_DIR. Says whom that concerns beside this vCPU.
    pub fn deactivate(&mut self, vgic: &Vgic, vcpu: usize, intid: u32, lrs: &mut impl ListRegisters) -> Concerned {
        if !lrs.splits_ends() {
            return Concerned::default();
        }
        let own = 1 << vcpu;
        let concerned = self.deactivate_here(vgic, vcpu, intid);
        let others = concerned.look & !own | self.refresh(vgic, vcpu, lrs);
        Concerned { look: others, hold: concerned.hold & !own }
    }

    /// Has whoever holds an interrupt deactivate it.
    fn deactivate_here(&mut self, vgic: &Vgic, vcpu: usize, intid: u32) -> Concerned {
        let (n, bit) = place(intid);
        if n >= BANKS {
            return Concerned::default();
        }
        let bank = vgic.bank(vcpu, n);
        bank.activate.clear(bit);
        bank.deactivate.set(bit);
        bank.settle(bit);
        let concerned = n.checked_sub(1).map_or(Concerned::default(), |n| vgic.concerned(n, bit));
        vgic.tell(concerned.look | 1 << vcpu, News::all() - News::ASKED);
        concerned
    }

    /// Gives back what a vCPU has that goes off: pending interrupts go to where others can take them, active ones stay
    /// active.
    pub fn give_back(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let mut others = self.refresh(vgic, vcpu, lrs);
        for index in 0..16 {
            if self.used & 1 << index != 0 {
                self.evict(vgic, vcpu, index, lrs);
            }
        }
        for n in 0..BANKS {
            let parked = core::mem::take(&mut self.parked[n]);
            each(parked, |bit| others |= self.let_go(vgic, vcpu, n, 1 << bit));
        }
        others |= self.owed;
        for n in 1..BANKS {
            others |= vgic.concerned(n - 1, vgic.bank(vcpu, n).ready(vgic.enabled_groups.load(SeqCst))).look;
        }
        *self = Self::new();
        others & !(1 << vcpu)
    }

    #[inline]
    fn renew(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        mut news: News,
        over: u16,
        fired: u32,
        lrs: &mut impl ListRegisters,
    ) -> VcpuMask {
        let mut others = 0;
        each(over.into(), |index| {
            let intid = u32::from(self.intids[index as usize & 15]);
            if lrs.read(index as usize) & HW != 0 {
                self.timers &= !(1 << intid);
            }
            // A finished one that asked for maintenance goes on asking until it is cleared.
            lrs.write(index as usize, 0);
            news |= if intid < 32 { News::PRIVATE } else { News::SHARED };
            others |= self.end(vgic, vcpu, intid);
        });
        self.used &= !over;
        // Its last one may only now be seen to be over.
        self.timers |= fired;
        let timers = if self.timers != 0 { self.timers & lrs.timers() } else { 0 };
        // Nearly always nothing is left in the list registers, and one of the vCPU's own interrupts waits.
        let own = &vgic.cpus[vcpu].bank;
        if self.used == 0
            && timers == self.timers
            && !self.irregular
            && News::PRIVATE.contains(news)
            && own.resting() == 0
        {
            let ready = own.ready_with(vgic.enabled_groups.load(SeqCst), timers);
            if ready & ready.wrapping_sub(1) == 0 {
                if ready != 0 {
                    self.list(vgic, vcpu, 0, ready.trailing_zeros(), timers, lrs);
                }
                return others;
            }
        }
        others | self.renew_all(vgic, vcpu, news, timers, lrs)
    }

    #[inline(never)]
    fn renew_all(
        &mut self,
        vgic: &Vgic,
        vcpu: usize,
        mut news: News,
        timers: u32,
        lrs: &mut impl ListRegisters,
    ) -> VcpuMask {
        let mut others = 0;
        let askers = if news.contains(News::ASKED) { vgic.askers(vcpu) } else { 0 };
        if self.parked != NONE {
            others |= self.count_ends(vgic, vcpu, lrs);
            others |= self.unpark_unwanted(vgic, vcpu, lrs);
            news |= News::all() - News::ASKED;
        }
        if self.used != 0 {
            others |= self.revise(vgic, vcpu, timers, lrs);
        }
        if news.contains(News::WISHES) {
            // Of what was let go before the wish was seen.
            for n in 0..BANKS {
                let bank = vgic.bank(vcpu, n);
                let free = bank.wishes() & !bank.held.get();
                if free != 0 {
                    bank.settle(free);
                    // For that moment they could not be had by whom they go to.
                    each(free, |bit| others |= self.others_of(vgic, vcpu, n, 1 << bit));
                }
            }
        }
        self.drop_fallen_timers(vgic, vcpu, timers, lrs);
        // One that was deactivated fires again.
        let timers = timers & self.timers;
        if self.fill(vgic, vcpu, news, timers, lrs) {
            others |= self.revise(vgic, vcpu, timers, lrs);
        }
        self.update_watch(vgic, vcpu, lrs);
        others |= core::mem::take(&mut self.owed);
        if askers != 0 {
            others |= vgic.answer(vcpu, askers) & !(1 << vcpu);
        }
        others
    }

    /// Ends an interrupt that this vCPU held.
    #[inline]
    fn end(&mut self, vgic: &Vgic, vcpu: usize, intid: u32) -> VcpuMask {
        let (n, bit) = place(intid);
        vgic.bank(vcpu, n).active.clear(bit);
        self.let_go(vgic, vcpu, n, bit)
    }

    /// Lets go of an interrupt, whose active state stays as it is known. Says whom it has told of that.
    #[inline]
    #[must_use]
    fn let_go(&self, vgic: &Vgic, vcpu: usize, n: usize, bit: u32) -> VcpuMask {
        vgic.bank(vcpu, n).release(bit);
        // Who has meanwhile wished anything of one of its own has this vCPU look.
        if n == 0 { 0 } else { self.let_go_of_shared(vgic, vcpu, n, bit) }
    }

    #[inline(never)]
    fn let_go_of_shared(&self, vgic: &Vgic, vcpu: usize, n: usize, bit: u32) -> VcpuMask {
        vgic.bank(vcpu, n).settle(bit);
        self.others_of(vgic, vcpu, n, bit)
    }

    /// Says to whom an interrupt goes that this vCPU has let go of, if that is another one.
    fn others_of(&self, vgic: &Vgic, vcpu: usize, n: usize, bit: u32) -> VcpuMask {
        let Some(n) = n.checked_sub(1) else { return 0 };
        let to = vgic.mask(vgic.target(n, bit.trailing_zeros())) & !(1 << vcpu);
        vgic.tell(to, News::SHARED);
        to
    }

    /// Ends parked interrupts as often as the guest has ended one: the most urgent one first.
    fn count_ends(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let mut others = 0;
        let ends = lrs.take_unlisted_ends();
        // Where ends are split they deactivate nothing; QEMU counts them all the same.
        for _ in 0..if lrs.splits_ends() { 0 } else { ends } {
            let parked = self.parked;
            let Some((.., intid)) = most_urgent(vgic, vcpu, &parked, ALL_GROUPS) else { break };
            others |= self.unpark(vgic, vcpu, intid, lrs);
        }
        others
    }

    /// Ends parked interrupts that others want to be inactive.
    fn unpark_unwanted(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let mut others = 0;
        for n in 0..BANKS {
            let bank = vgic.bank(vcpu, n);
            let parked = self.parked[n];
            bank.activate.clear(parked);
            bank.withdraw_latched(parked);
            each(bank.deactivate.clear(parked), |bit| {
                others |= self.unpark(vgic, vcpu, n as u32 * 32 + bit, lrs);
            });
        }
        others
    }

    /// Ends a parked interrupt.
    fn unpark(&mut self, vgic: &Vgic, vcpu: usize, intid: u32, lrs: &mut impl ListRegisters) -> VcpuMask {
        let (n, bit) = place(intid);
        self.parked[n] &= !bit;
        if n == 0 && self.timers & bit != 0 {
            self.deactivate_timer(bit, lrs);
        }
        self.end(vgic, vcpu, intid)
    }

    fn deactivate_timer(&mut self, bit: u32, lrs: &mut impl ListRegisters) {
        self.timers &= !bit;
        lrs.deactivate(bit.trailing_zeros());
    }

    /// Drops timers' interrupts whose lines fell while they waited, for the lines are the hardware's: such a one does
    /// not wait any more, and may come again.
    fn drop_fallen_timers(&mut self, vgic: &Vgic, vcpu: usize, timers: u32, lrs: &mut impl ListRegisters) {
        let fallen = self.timers & !timers;
        if fallen != 0 {
            let bank = &vgic.cpus[vcpu].bank;
            each(fallen & !bank.held.get() & !bank.active.get(), |bit| self.deactivate_timer(1 << bit, lrs));
        }
    }
}

/// Notes what a holder sees.
#[inline]
fn note(flags: &Flags, bit: u32, on: bool) {
    if (flags.get() & bit != 0) != on {
        flags.assign(bit, on);
    }
}
