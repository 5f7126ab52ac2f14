// SPDX-License-Identifier: MIT OR Apache-2.0
//! A CPU's virtual interrupt interface (GICv3 §12.4), as every machine offers it: the real one, the fake one of the
//! host, and a test's.
#![forbid(unsafe_code)]

/// The virtual timer's interrupt, a PPI.
pub const VIRTUAL_TIMER: u32 = 27;
/// The EL1 physical timer's.
pub const PHYSICAL_TIMER: u32 = 30;
/// The timers' interrupts, whose lines are the CPU's own and whose list registers are linked to the physical
/// interrupts.
pub const TIMERS: u32 = 1 << VIRTUAL_TIMER | 1 << PHYSICAL_TIMER;

/// A CPU's list registers and what belongs to them, or a test's.
pub trait ListRegisters {
    /// Says how many there are, at most 16.
    fn count(&self) -> usize;
    /// Returns those that hold no interrupt any more, as bits (ICH_ELRSR or ICH_EISR).
    fn finished(&self) -> u16;
    /// Reads one.
    fn read(&self, index: usize) -> u64;
    /// Writes one.
    fn write(&mut self, index: usize, value: u64);
    /// Says what else is to lead to an exit.
    fn set_control(&mut self, control: Control);
    /// Says how often the guest has ended an interrupt that is in no list register, since this was asked last
    /// (ICH_HCR.EOIcount).
    fn take_unlisted_ends(&mut self) -> u32;
    /// Says what the guest lets through.
    fn filter(&self) -> Filter;
    /// Returns the guest's priority mask: of that, it lets through only what is more urgent (ICC_PMR).
    fn priority_mask(&self) -> u8;
    /// Says whether ending an interrupt does not deactivate it (EOImode).
    fn splits_ends(&self) -> bool;
    /// Makes the priority of this list register's interrupt active: the guest begins to handle it.
    fn raise_priority(&mut self, register: u64);
    /// Ends the handling of the most urgent interrupt, as the guest does.
    fn drop_priority(&mut self);
    /// Deactivates a physical interrupt of this CPU's.
    fn deactivate(&mut self, intid: u32);
    /// Says which of the loaded vCPU's timers assert their interrupts, of [`TIMERS`].
    fn timers(&self) -> u32;
}

/// What of the guest's dealings with its CPU interface leads to an exit, beside deactivations by ICC_DIR, which always
/// do (ICH_HCR_EL2.TDIR): only who splits ends (EOImode) uses that, and what it names may be with another vCPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Control {
    /// No list register is pending any more, but something else is (NPIE).
    pub none_pending: bool,
    /// It lets one of these groups through, as in [`Filter`] (VGrpXEIE).
    pub enabled: u8,
    /// It lets one of these groups through no more (VGrpXDIE).
    pub disabled: u8,
    /// It ends an interrupt that is in no list register (LRENPIE).
    pub unlisted_end: bool,
    /// It acknowledges or ends one, or looks what is pending, in this group (TALL0, TALL1).
    pub acknowledge: Option<Group>,
}

/// An interrupt's group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Signalled as FIQ.
    Zero,
    /// Signalled as IRQ.
    One,
}

/// What the guest's CPU interface lets through (ICH_VMCR_EL2 and ICH_APxR_EL2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Filter {
    /// The groups that are on: bit 0 and bit 1.
    pub groups: u8,
    /// Only what is more urgent.
    pub mask: u8,
    /// The priority of what is being handled; 0xFF if nothing is.
    pub running: u8,
    /// The bits of a priority that decide on preemption, for group 0 and for group 1.
    pub preemption: [u8; 2],
}

impl Filter {
    /// Says whether the guest is told of an interrupt.
    pub fn passes(&self, register: u64) -> bool {
        let (group, priority) = ((register >> 60 & 1) as usize, (register >> 48) as u8);
        let preemption = self.preemption[group];
        self.groups & 1 << group != 0
            && priority < self.mask
            && (self.running == u8::MAX || priority & preemption < self.running & preemption)
    }
}
