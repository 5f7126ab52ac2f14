// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU's virtual interface as the architecture has it (GICv3 §4.6, §12.4), and its timers' lines.

#![forbid(unsafe_code)]

use crate::arch::interface::{Control, Filter, Group, ListRegisters, TIMERS};
use std::vec;
use std::vec::Vec;

/// What ICC_IAR reads when there is nothing.
pub const SPURIOUS: u32 = 1023;

const PENDING: u64 = 1 << 62;
const ACTIVE: u64 = 1 << 63;
const STATE: u64 = PENDING | ACTIVE;
const HW: u64 = 1 << 61;
const EOI: u64 = 1 << 41;

/// What a CPU has for its guest's interrupts.
#[derive(Clone, Debug)]
pub struct VirtualInterface {
    /// The list registers.
    pub lrs: Vec<u64>,
    /// What leads to an exit.
    pub control: Control,
    unlisted_ends: u32,
    /// ICC_PMR.
    pub mask: u8,
    /// ICC_IGRPEN.
    pub groups: u8,
    /// The bits of priority that preempt.
    pub preemption: u8,
    /// EOImode.
    pub split_end: bool,
    /// ICH_AP0R and ICH_AP1R: priorities that are being handled, a bit each.
    active_priorities: u32,
    /// PSTATE.I and F.
    pub masked: bool,
    timers: u32,
    /// Physical interrupts that are active.
    physical: u32,
}

impl VirtualInterface {
    /// Makes one out of reset, with so many list registers.
    pub fn new(list_registers: usize) -> Self {
        Self {
            lrs: vec![0; list_registers],
            control: Control::default(),
            unlisted_ends: 0,
            mask: 0,
            groups: 0,
            preemption: 0xF8,
            split_end: false,
            active_priorities: 0,
            masked: false,
            timers: 0,
            physical: 0,
        }
    }

    /// Lets all through.
    pub fn open(&mut self) {
        (self.mask, self.groups) = (0xFF, 3);
    }

    /// Raises or drops a timer's line.
    pub fn set_timer(&mut self, intid: u32, up: bool) {
        self.timers = if up { self.timers | 1 << intid } else { self.timers & !(1 << intid) };
    }

    /// Takes a timer's physical interrupt.
    pub fn activate(&mut self, intid: u32) {
        self.physical |= 1 << intid;
    }

    /// Makes it no longer active, if it was.
    pub fn forget(&mut self, intid: u32) {
        self.physical &= !(1 << intid);
    }

    /// Returns the physical interrupts of timers that are active.
    pub fn physical(&self) -> u32 {
        self.physical
    }

    /// Takes a timer's interrupt if its line is up and it can be taken.
    pub fn take_timer(&mut self) -> Option<u32> {
        let fired = self.timers & !self.physical;
        (fired != 0).then(|| {
            let intid = fired.trailing_zeros();
            self.physical |= 1 << intid;
            intid
        })
    }

    /// Says whether the hypervisor is to look at it.
    pub fn needs_maintenance(&self) -> bool {
        let ended = self.lrs.iter().any(|lr| lr & (STATE | HW | EOI) == EOI);
        let none_pending = self.control.none_pending && !self.lrs.iter().any(|lr| lr & STATE == PENDING);
        let Control { enabled, disabled, .. } = self.control;
        // QEMU takes group 0 for disabled when group 1 is.
        let off = !self.groups | !self.groups >> 1 & 1;
        ended
            || none_pending
            || enabled & self.groups | disabled & off != 0
            || self.control.unlisted_end && self.unlisted_ends != 0
    }

    /// Returns the priority of the most urgent interrupt that is being handled.
    pub fn running(&self) -> u8 {
        if self.active_priorities == 0 { 0xFF } else { (self.active_priorities.trailing_zeros() << 3) as u8 }
    }

    /// Reads ICC_IAR0 or ICC_IAR1.
    pub fn acknowledge(&mut self, group: Group) -> u32 {
        let filter = self.filter();
        let first = self
            .lrs
            .iter_mut()
            .filter(|lr| **lr & STATE == PENDING && filter.groups & 1 << (**lr >> 60 & 1) != 0)
            .min_by_key(|lr| **lr >> 48 & 0xFF);
        let Some(lr) = first.filter(|lr| filter.passes(**lr) && **lr >> 60 & 1 == group as u64) else {
            return SPURIOUS;
        };
        *lr = *lr & !PENDING | ACTIVE;
        let value = *lr;
        self.raise_priority(value);
        value as u32
    }

    /// Writes ICC_EOIR0 or ICC_EOIR1.
    pub fn end(&mut self, intid: u32) {
        self.drop_priority();
        if !self.split_end {
            self.end_listed(intid);
        } else if !self.lrs.iter().any(|lr| lr & ACTIVE != 0 && *lr as u32 == intid) {
            // Not as the architecture has it, but as QEMU does.
            self.unlisted_ends += 1;
        }
    }

    fn end_listed(&mut self, intid: u32) {
        let listed = self.lrs.iter_mut().find(|lr| **lr & ACTIVE != 0 && **lr as u32 == intid);
        let Some(lr) = listed else {
            self.unlisted_ends += 1;
            return;
        };
        *lr &= !ACTIVE;
        if *lr & HW != 0 {
            assert_eq!(*lr >> 32 & 0x1FFF, u64::from(intid));
            self.physical &= !(1 << intid);
        }
    }

    /// Returns the INTIDs of list registers that are pending.
    pub fn pending(&self) -> Vec<u32> {
        self.lrs.iter().filter(|lr| **lr & PENDING != 0).map(|lr| *lr as u32).collect()
    }
}

impl ListRegisters for VirtualInterface {
    fn count(&self) -> usize {
        self.lrs.len()
    }

    fn finished(&self) -> u16 {
        let over = self.lrs.iter().enumerate().filter(|(_, lr)| **lr & STATE == 0);
        over.fold(0, |bits, (n, _)| bits | 1 << n)
    }

    fn read(&self, index: usize) -> u64 {
        self.lrs[index]
    }

    fn write(&mut self, index: usize, value: u64) {
        assert!(value & HW == 0 || value & STATE != STATE, "the architecture has no pending and active one with HW");
        if value & HW != 0 && value & STATE != 0 {
            assert_ne!(self.physical & 1 << (value >> 32 & 0x1FFF), 0, "what it is linked to is active");
        }
        self.lrs[index] = value;
        let mut intids: Vec<u32> = self.lrs.iter().filter(|lr| **lr & STATE != 0).map(|lr| *lr as u32).collect();
        intids.sort_unstable();
        assert!(intids.windows(2).all(|pair| pair[0] != pair[1]), "an interrupt is in one list register: {intids:?}");
    }

    fn set_control(&mut self, control: Control) {
        self.control = control;
    }

    fn take_unlisted_ends(&mut self) -> u32 {
        core::mem::take(&mut self.unlisted_ends)
    }

    fn filter(&self) -> Filter {
        Filter { groups: self.groups, mask: self.mask, running: self.running(), preemption: [self.preemption; 2] }
    }

    fn priority_mask(&self) -> u8 {
        self.mask
    }

    fn splits_ends(&self) -> bool {
        self.split_end
    }

    fn raise_priority(&mut self, register: u64) {
        self.active_priorities |= 1 << (register >> 51 & 0x1F & u64::from(self.preemption) >> 3);
    }

    fn drop_priority(&mut self) {
        self.active_priorities &= self.active_priorities.wrapping_sub(1);
    }

    fn deactivate(&mut self, intid: u32) {
        assert_ne!(self.physical & 1 << intid, 0, "only what is active is deactivated");
        self.physical &= !(1 << intid);
    }

    fn timers(&self) -> u32 {
        self.timers & TIMERS
    }
}

/// Says which group the CPU is watched in.
pub fn watched(cpu: &VirtualInterface) -> Option<Group> {
    cpu.control.acknowledge
}
