//! A vCPU's list registers. They and what is noted here belong to the CPU on which the vCPU is, alone.
//!
//! As many pending interrupts as there is room for are in list registers, the most urgent ones; where there is still room, active
//! ones are. Others that the guest handles are *parked*: noted here. It ends those in the order of their priorities by EOIR, and the
//! CPU counts what it does not find; by DIR, which traps, in any order. Urgent is first of all what the guest lets through.
#![forbid(unsafe_code)]

use super::list_register::{self, ACTIVE, Control, EOI, Group, HW, ListRegisters, PENDING, STATE};
use super::redistributor::News;
use super::{BANKS, Concerned, TIMERS, VcpuMask, Vgic, each};
use crate::trace::record;
use core::sync::atomic::Ordering::SeqCst;
use shared_abi::trace::Event;

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
    /// More is pending than fits.
    overflow: bool,
    /// A timer's interrupt is pending that the guest does not take yet: should it look, the timer is looked at again.
    watch: Option<Group>,
    control: Control,
    /// Any of what leads to an exit but that: the guest does not only take what is in list registers.
    irregular: bool,
}

fn place(intid: u32) -> (usize, u32) {
    (intid as usize / 32, 1 << (intid % 32))
}

impl Lists {
    /// Nothing is in list registers.
    pub fn new() -> Self {
        Self::default()
    }

    /// The timers whose physical interrupts have to be active while the vCPU is loaded.
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

    /// A timer of the loaded vCPU has fired, whose physical interrupt is active now. `masked` are the groups that the guest does not
    /// take before it has done something else: bit 0 and bit 1.
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

    /// Whether the guest's next look at its CPU interface is watched for.
    pub fn is_watched(&self) -> bool {
        self.watch.is_some()
    }

    /// The guest does something to its CPU interface that is let be from now on. Which other vCPUs have to look.
    pub fn unwatch(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        self.watch = None;
        self.inspect(vgic, vcpu, lrs)
    }

    /// The guest reads ICC_IAR0_EL1 or ICC_IAR1_EL1 while that is watched: what it is given to handle (GICv3 §4.4.2), or `None` if
    /// it is to read again, unwatched; and which other vCPUs have to look.
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
            self.watch = None;
            self.control.acknowledge = None;
            lrs.set_control(self.control);
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

    /// The guest writes ICC_EOIR0_EL1 or ICC_EOIR1_EL1 while that is watched. Which other vCPUs have to look.
    pub fn end_by_guest(&mut self, vgic: &Vgic, vcpu: usize, intid: u32, lrs: &mut impl ListRegisters) -> VcpuMask {
        lrs.drop_priority();
        if lrs.splits_ends() {
            return self.inspect(vgic, vcpu, lrs);
        }
        self.deactivate_here(vgic, vcpu, intid).look | self.inspect(vgic, vcpu, lrs)
    }

    /// The list register of the most urgent pending interrupt of the groups that the guest lets through.
    fn first_pending(&self, lrs: &impl ListRegisters) -> Option<usize> {
        let groups = lrs.filter().groups;
        let on = |value: u64| groups & 1 << (list_register::group(value) as u8) != 0;
        (0..16)
            .filter(|index| self.used & 1 << index != 0)
            .filter(|index| lrs.read(*index) & STATE == PENDING && on(lrs.read(*index)))
            .min_by_key(|index| lrs.read(*index) >> 48 & 0xFF)
    }

    /// Brings all that is known up to date: for who reads states. Which other vCPUs have to look.
    pub fn inspect(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let news = vgic.cpus[vcpu].take_news();
        let over = self.used & lrs.finished();
        self.renew(vgic, vcpu, news, over, 0, lrs)
    }

    /// What ICC_HPPIR0_EL1 or ICC_HPPIR1_EL1 shows: the most urgent pending interrupt if it is in that group, 1023 otherwise.
    pub fn most_urgent_pending(&self, group: Group, lrs: &impl ListRegisters) -> u32 {
        let first = self.first_pending(lrs).map(|index| lrs.read(index));
        first.filter(|value| list_register::group(*value) == group).map_or(NOTHING, |value| value as u32)
    }

    /// Whether the guest would be told of an interrupt, so that it need not wait.
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

    /// The guest deactivates an interrupt by ICC_DIR. Whom that concerns beside this vCPU.
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

    /// The vCPU goes off: pending interrupts go back to where others can take them, active ones stay active.
    pub fn give_back(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let mut others = self.refresh(vgic, vcpu, lrs);
        for index in 0..16 {
            if self.used & 1 << index != 0 {
                self.evict(vgic, vcpu, index, lrs);
            }
        }
        for n in 0..BANKS {
            let parked = core::mem::take(&mut self.parked[n]);
            each(parked, |bit| vgic.bank(vcpu, n).release(1 << bit));
        }
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
        if self.parked != NONE {
            others |= self.count_ends(vgic, vcpu, lrs);
            others |= self.unpark_unwanted(vgic, vcpu, lrs);
            news = News::all();
        }
        if self.used != 0 {
            others |= self.revise(vgic, vcpu, timers, lrs);
        }
        if news.contains(News::WISHES) {
            // Of what was let go before the wish was seen.
            for n in 0..BANKS {
                let bank = vgic.bank(vcpu, n);
                bank.settle(bank.wishes() & !bank.held.get());
            }
        }
        self.drop_fallen_timers(vgic, vcpu, timers, lrs);
        // One that was deactivated fires again.
        let timers = timers & self.timers;
        if self.fill(vgic, vcpu, news, timers, lrs) {
            others |= self.revise(vgic, vcpu, timers, lrs);
        }
        self.update_watch(vgic, vcpu, lrs);
        if news.contains(News::ASKED) {
            others |= vgic.take_askers(vcpu) & !(1 << vcpu);
        }
        others
    }

    /// An interrupt that this vCPU held is over.
    #[inline]
    fn end(&mut self, vgic: &Vgic, vcpu: usize, intid: u32) -> VcpuMask {
        let (n, bit) = place(intid);
        vgic.bank(vcpu, n).end(bit);
        self.others_of(vgic, vcpu, n, bit)
    }

    /// This vCPU has let go of an interrupt: the one it goes to, if that is another one.
    fn others_of(&self, vgic: &Vgic, vcpu: usize, n: usize, bit: u32) -> VcpuMask {
        let Some(n) = n.checked_sub(1) else { return 0 };
        let to = vgic.mask(vgic.target(n, bit.trailing_zeros())) & !(1 << vcpu);
        vgic.tell(to, News::SHARED);
        to
    }

    /// The guest has ended interrupts that are parked: it ends the most urgent one first.
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

    /// Others want parked interrupts to be inactive.
    fn unpark_unwanted(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) -> VcpuMask {
        let mut others = 0;
        for n in 0..BANKS {
            let bank = vgic.bank(vcpu, n);
            let parked = self.parked[n];
            bank.activate.clear(parked);
            bank.withdraw.clear(parked);
            each(bank.deactivate.clear(parked), |bit| {
                others |= self.unpark(vgic, vcpu, n as u32 * 32 + bit, lrs);
            });
        }
        others
    }

    /// A parked interrupt is over.
    fn unpark(&mut self, vgic: &Vgic, vcpu: usize, intid: u32, lrs: &mut impl ListRegisters) -> VcpuMask {
        let (n, bit) = place(intid);
        self.parked[n] &= !bit;
        if n == 0 && self.timers & bit != 0 {
            self.deactivate_timer(bit, lrs);
        }
        self.end(vgic, vcpu, intid)
    }

    /// Looks at the interrupts that are in list registers: notes which are active, takes back what the guest or the device
    /// has withdrawn since, adds an edge that came while its predecessor is handled.
    fn revise(&mut self, vgic: &Vgic, vcpu: usize, timers: u32, lrs: &mut impl ListRegisters) -> VcpuMask {
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
                if bank.withdraw.clear(bit) != 0 && value & PENDING != 0 {
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
            } else if !level && value & ACTIVE != 0 && bank.latched.get() & bit != 0 {
                // It is for somebody else, or for nobody yet, who has to hear when this one is over.
                value |= EOI;
            }
            if value & STATE == PENDING {
                value = list_register::with_configuration(value, intid, bank);
            }

            self.taken = self.taken & !(1 << index) | if taken && value & PENDING != 0 { 1 << index } else { 0 };
            if value & STATE == 0 {
                lrs.write(index, 0);
                self.used &= !(1 << index);
                bank.end(bit);
                others |= self.others_of(vgic, vcpu, n, bit);
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

    fn deactivate_timer(&mut self, bit: u32, lrs: &mut impl ListRegisters) {
        self.timers &= !bit;
        lrs.deactivate(bit.trailing_zeros());
    }

    /// The timers' lines are the hardware's: one that fell while its interrupt waited does not wait any more, and may come again.
    fn drop_fallen_timers(&mut self, vgic: &Vgic, vcpu: usize, timers: u32, lrs: &mut impl ListRegisters) {
        let fallen = self.timers & !timers;
        if fallen != 0 {
            let bank = &vgic.cpus[vcpu].bank;
            each(fallen & !bank.held.get() & !bank.active.get(), |bit| self.deactivate_timer(1 << bit, lrs));
        }
    }

    /// Puts what is pending into list registers, and what is active where there is room. Whether to look at them again
    /// ([`Self::list`]).
    #[inline]
    fn fill(&mut self, vgic: &Vgic, vcpu: usize, news: News, timers: u32, lrs: &mut impl ListRegisters) -> bool {
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

    /// Claims an interrupt and puts it into a list register. Whether somebody changed something about it before he could know who has
    /// it: then it has to be revised.
    #[inline]
    fn list(
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
        let taken = bank.latched.clear(bit) != 0;
        let linked = n == 0 && timers & bit != 0;
        bank.offered.set(bit);
        self.used |= 1 << index;
        self.intids[index] = intid as u16;
        self.taken = self.taken & !(1 << index) | u16::from(taken) << index;
        self.by_register &= !(1 << index);
        lrs.write(index, list_register::compose(intid, bank, PENDING, linked));
        record(vgic.client, || Event::VirtualInterrupt { vcpu: vcpu as u8, intid });
        n != 0
    }

    /// Puts an active interrupt into a list register. What is returned is as for [`Self::list`].
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
                bank.release(bit);
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
        n != 0
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

    /// The list register to make room in for a pending interrupt: that of the least urgent active interrupt, or of the least urgent
    /// pending one that is less urgent.
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

    /// Takes an interrupt out of its list register: a pending one waits in its bank, an active one is parked. What the list register was.
    fn evict(&mut self, vgic: &Vgic, vcpu: usize, index: usize, lrs: &mut impl ListRegisters) -> u64 {
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
            self.parked[n] |= bit;
        } else {
            bank.release(bit);
        }
        value
    }

    /// If a timer's interrupt is pending, which the guest does not take at once, what it does to its CPU interface is watched.
    fn watch_timer(&mut self, vgic: &Vgic, vcpu: usize, intid: u32, group: u32, lrs: &mut impl ListRegisters) {
        if self.timers & vgic.cpus[vcpu].bank.offered.get() & 1 << intid != 0 {
            self.watch = Some(if group == 0 { Group::Zero } else { Group::One });
            let control = Control { acknowledge: self.watch, ..self.control };
            if control != self.control {
                self.control = control;
                lrs.set_control(control);
            }
        }
    }

    /// There is nothing to watch for without a timer's interrupt that is pending.
    fn update_watch(&mut self, vgic: &Vgic, vcpu: usize, lrs: &mut impl ListRegisters) {
        if self.watch.is_some() && self.timers & vgic.cpus[vcpu].bank.offered.get() == 0 {
            self.watch = None;
        }
        let control = Control {
            none_pending: self.overflow,
            groups: self.overflow.then(|| lrs.filter().groups),
            unlisted_end: self.parked != NONE,
            acknowledge: self.watch,
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

/// How urgent an interrupt is, the less the more: whether the guest holds its group back, its priority, its INTID.
type Urgency = (bool, u8, u32);

const ALL_GROUPS: u8 = 3;

/// The most urgent interrupt of these, if the guest lets these groups through.
fn most_urgent(vgic: &Vgic, vcpu: usize, banks: &Banks, groups: u8) -> Option<Urgency> {
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

/// Notes what a holder sees.
#[inline]
fn note(flags: &super::bank::Flags, bit: u32, on: bool) {
    if (flags.get() & bit != 0) != on {
        flags.assign(bit, on);
    }
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
