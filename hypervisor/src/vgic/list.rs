//! List registers: what a guest can take without an exit (GICv3 §12.4.8).

use super::bank::Bank;
use super::redistributor::Redistributor;
use super::{SPI_BANKS, VIRTUAL_TIMER, Vgic};
use crate::trace::record;
use shared_abi::trace::Event;

/// A CPU's list registers, or a test's.
pub trait ListRegisters {
    /// How many there are, at most 16.
    fn count(&self) -> usize;
    /// Those that hold no interrupt any more, as bits (ICH_ELRSR or ICH_EISR).
    fn finished(&self) -> u16;
    /// Reads one.
    fn read(&self, index: usize) -> u64;
    /// Writes one.
    fn write(&mut self, index: usize, value: u64);
    /// Asks for a maintenance interrupt when at most one is still in use, or not.
    fn set_underflow(&mut self, on: bool);
    /// Deactivates a physical interrupt of this CPU's.
    fn deactivate(&mut self, intid: u32);
    /// Whether the virtual timer of the loaded vCPU asserts its interrupt.
    fn timer_fires(&self) -> bool;
}

/// Interrupts by bank: a vCPU's own, then the shared ones.
type Ready = [u32; 1 + SPI_BANKS];

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const HW: u64 = 1 << 61;
const GROUP1: u64 = 1 << 60;
/// A maintenance interrupt when the guest ends it: the device's line may still be up.
const EOI: u64 = 1 << 41;

/// The list register of an interrupt.
#[inline]
fn compose(intid: u32, bank: &Bank, bit: u32) -> u64 {
    let mut value = PENDING | u64::from(intid) | u64::from(bank.priority[(intid % 32) as usize]) << 48;
    if bank.group & bit != 0 {
        value |= GROUP1;
    }
    if intid == VIRTUAL_TIMER {
        value |= HW | u64::from(VIRTUAL_TIMER) << 32;
    } else if bank.edge & bit == 0 {
        value |= EOI;
    }
    value
}

impl Vgic {
    /// Does [`Vgic::refresh`], and says whether there is anything for the vCPU to take.
    pub fn sync(&mut self, vcpu: usize, lrs: &mut impl ListRegisters) -> bool {
        self.refresh(vcpu, lrs);
        self.has_pending(vcpu)
    }

    /// Brings the list registers of a vCPU and what is known here into agreement. On the CPU on which it is loaded.
    #[inline]
    pub fn refresh(&mut self, vcpu: usize, lrs: &mut impl ListRegisters) {
        if vcpu >= self.cpus.len() {
            return;
        }
        self.stale &= !(1 << vcpu);
        self.retire(vcpu, lrs);
        if self.cpus[vcpu].used != 0 {
            self.revise(vcpu, lrs);
        }
        self.drop_timer_that_fell(vcpu, lrs);
        self.fill(vcpu, lrs);
    }

    /// Whether an interrupt waits for this vCPU. What it has acknowledged since the last look still counts.
    pub fn has_pending(&self, vcpu: usize) -> bool {
        let Some(cpu) = self.cpus.get(vcpu) else { return false };
        let listed = |bank: &Bank, routed: u32| bank.listed & !bank.active & routed;
        let taken = self
            .spis
            .iter()
            .zip(cpu.routed)
            .fold(listed(&cpu.bank, u32::MAX), |all, (bank, routed)| all | listed(bank, routed));
        taken != 0 || self.ready(cpu) != [0; 1 + SPI_BANKS]
    }

    /// Takes back the list registers whose interrupt is over.
    #[inline]
    fn retire(&mut self, vcpu: usize, lrs: &mut impl ListRegisters) {
        let mut over = self.cpus[vcpu].used & lrs.finished();
        while over != 0 {
            let index = over.trailing_zeros() as usize;
            over &= over - 1;
            let intid = self.cpus[vcpu].intids[index];
            // A finished one that asked for maintenance goes on asking until it is cleared.
            lrs.write(index, 0);
            self.release(vcpu, index, intid);
        }
    }

    #[inline]
    fn release(&mut self, vcpu: usize, index: usize, intid: u16) {
        self.cpus[vcpu].used &= !(1 << index);
        if let Some(bank) = self.bank_mut(vcpu, usize::from(intid) / 32) {
            bank.end(1 << (intid % 32));
        }
    }

    /// Looks at the interrupts that are still in list registers: notes which are active, takes back what the guest or
    /// the device has withdrawn since, adds an edge that came while its predecessor is handled.
    fn revise(&mut self, vcpu: usize, lrs: &mut impl ListRegisters) {
        let (groups, client) = (self.enabled_groups, self.client);
        let mut used = self.cpus[vcpu].used;
        while used != 0 {
            let index = used.trailing_zeros() as usize;
            used &= used - 1;
            let intid = self.cpus[vcpu].intids[index];
            let bit = 1u32 << (intid % 32);
            let Some(bank) = self.bank_mut(vcpu, usize::from(intid) / 32) else { continue };
            let before = lrs.read(index);
            let mut value = before;

            if value & PENDING == 0 {
                bank.taken &= !bit;
            }
            if bank.deactivate & bit != 0 {
                bank.deactivate &= !bit;
                if value & ACTIVE != 0 {
                    value &= !ACTIVE;
                    if value & HW != 0 {
                        lrs.deactivate(u32::from(intid));
                    }
                }
            }
            // A level is pending as long as its line is up; what was latched stays.
            let level = bank.edge & bit == 0 && value & HW == 0;
            if value & PENDING != 0 && level && bank.line & bit == 0 && bank.taken & bit == 0 {
                value &= !PENDING;
            }
            if value & (PENDING | ACTIVE) == PENDING && bank.enabled & bank.in_groups(groups) & bit == 0 {
                value &= !PENDING;
                if !level || bank.taken & bit != 0 {
                    bank.latched |= bit;
                }
            }
            if value & ACTIVE != 0 && bank.latched & bit & bank.edge != 0 {
                bank.latched &= !bit;
                bank.taken |= bit;
                value |= PENDING;
                record(client, || Event::VirtualInterrupt { vcpu: vcpu as u8, intid: intid.into() });
            }
            // An edge before the guest has seen the last one is the same edge.
            if value & (PENDING | ACTIVE) == PENDING && bank.edge & bit != 0 {
                bank.latched &= !bit;
            }
            bank.active = bank.active & !bit | if value & ACTIVE != 0 { bit } else { 0 };
            if value & (PENDING | ACTIVE) == 0 {
                lrs.write(index, 0);
                self.release(vcpu, index, intid);
            } else if value != before {
                lrs.write(index, value);
            }
        }
    }

    /// The timer's line is the hardware's: if it fell while the guest had the interrupt disabled, it is not pending.
    #[inline]
    fn drop_timer_that_fell(&mut self, vcpu: usize, lrs: &mut impl ListRegisters) {
        const TIMER: u32 = 1 << VIRTUAL_TIMER;
        let groups = self.enabled_groups;
        let bank = &mut self.cpus[vcpu].bank;
        if bank.latched & TIMER != 0
            && bank.ready(bank.in_groups(groups)) & TIMER == 0
            && bank.listed & TIMER == 0
            && !lrs.timer_fires()
        {
            bank.latched &= !TIMER;
            lrs.deactivate(VIRTUAL_TIMER);
        }
    }

    /// Puts what is pending into free list registers.
    #[inline]
    fn fill(&mut self, vcpu: usize, lrs: &mut impl ListRegisters) {
        let cpu = &self.cpus[vcpu];
        let free = !cpu.used & ((1u32 << lrs.count()) - 1) as u16;
        let ready = self.ready(cpu);
        // Nearly always it is one, or none.
        match only(&ready) {
            Few::None if !cpu.overflow => {}
            Few::One(intid) if free != 0 && !cpu.overflow => {
                self.list(vcpu, free.trailing_zeros() as usize, intid, lrs)
            }
            _ => self.fill_by_urgency(vcpu, free, ready, lrs),
        }
    }

    /// Puts the most urgent of many pending interrupts into list registers.
    #[inline(never)]
    fn fill_by_urgency(&mut self, vcpu: usize, mut free: u16, mut ready: Ready, lrs: &mut impl ListRegisters) {
        while let Some(intid) = self.most_urgent(vcpu, &ready) {
            if free == 0 {
                match self.evict_for(vcpu, intid, lrs) {
                    Some(index) => free = 1 << index,
                    None => break,
                }
            }
            let index = free.trailing_zeros() as usize;
            free &= free - 1;
            ready[intid as usize / 32] &= !(1 << (intid % 32));
            self.list(vcpu, index, intid, lrs);
        }
        let overflow = ready != [0; 1 + SPI_BANKS];
        if overflow != self.cpus[vcpu].overflow {
            self.cpus[vcpu].overflow = overflow;
            lrs.set_underflow(overflow);
        }
    }

    /// What a CPU should have in a list register and has not: its private interrupts, then the shared ones.
    #[inline]
    fn ready(&self, cpu: &Redistributor) -> Ready {
        let groups = self.enabled_groups;
        let ready = |bank: &Bank| bank.ready(bank.in_groups(groups));
        let mut all = [ready(&cpu.bank); 1 + SPI_BANKS];
        for ((all, bank), routed) in all[1..].iter_mut().zip(&self.spis).zip(cpu.routed) {
            *all = ready(bank) & routed;
        }
        all
    }

    #[inline]
    fn list(&mut self, vcpu: usize, index: usize, intid: u32, lrs: &mut impl ListRegisters) {
        self.cpus[vcpu].used |= 1 << index;
        self.cpus[vcpu].intids[index] = intid as u16;
        let bit = 1 << (intid % 32);
        if let Some(bank) = self.bank_mut(vcpu, intid as usize / 32) {
            bank.listed |= bit;
            bank.taken = bank.taken & !bit | bank.latched & bit;
            bank.latched &= !bit;
            lrs.write(index, compose(intid, bank, bit));
            record(self.client, || Event::VirtualInterrupt { vcpu: vcpu as u8, intid });
        }
    }

    /// The ready interrupt with the lowest priority value, the lowest INTID among equals.
    fn most_urgent(&self, vcpu: usize, ready: &Ready) -> Option<u32> {
        let mut best: Option<(u8, u32)> = None;
        for (n, ready) in ready.iter().enumerate() {
            let mut ready = *ready;
            while ready != 0 {
                let bit = ready.trailing_zeros();
                ready &= ready - 1;
                let Some(bank) = self.bank(vcpu, n) else { continue };
                let this = (bank.priority[bit as usize], n as u32 * 32 + bit);
                best = Some(best.map_or(this, |best| best.min(this)));
            }
        }
        best.map(|(_, intid)| intid)
    }

    /// Makes room for `intid` by taking back a pending interrupt that is less urgent; an active one stays where the guest
    /// will end it. So a guest that handles as many interrupts at once as there are list registers, one inside the
    /// other, gets the next when the innermost is done.
    fn evict_for(&mut self, vcpu: usize, intid: u32, lrs: &mut impl ListRegisters) -> Option<usize> {
        let priority = |vgic: &Self, intid: u32| {
            vgic.bank(vcpu, intid as usize / 32).map_or(u8::MAX, |bank| bank.priority[(intid % 32) as usize])
        };
        let mut worst: Option<(u8, usize)> = None;
        for index in 0..lrs.count() {
            let value = lrs.read(index);
            if value & (PENDING | ACTIVE) == PENDING && value & HW == 0 {
                worst = worst.max(Some((priority(self, u32::from(self.cpus[vcpu].intids[index])), index)));
            }
        }
        let (least_urgent, index) = worst?;
        if least_urgent <= priority(self, intid) {
            return None;
        }
        let evicted = self.cpus[vcpu].intids[index];
        let bit = 1 << (evicted % 32);
        lrs.write(index, 0);
        if let Some(bank) = self.bank_mut(vcpu, usize::from(evicted) / 32) {
            bank.latched |= bank.taken & bit;
        }
        self.release(vcpu, index, evicted);
        Some(index)
    }
}

/// How many interrupts there are, as far as it matters.
enum Few {
    None,
    One(u32),
    More,
}

#[inline]
fn only(ready: &Ready) -> Few {
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
