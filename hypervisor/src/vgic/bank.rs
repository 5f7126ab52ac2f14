// SPDX-License-Identifier: MIT OR Apache-2.0
//! Thirty-two interrupts: configuration and state, a bit each, which any CPU may look at and change at any time.
//!
//! Who *holds* an interrupt ([`Bank::held`]) has moved it into a vCPU's list registers and alone moves it on; what
//! others want of it meanwhile they write down as a wish, which the holder fulfils when it looks.

use super::Width;
use super::shared::{AtomicU8, AtomicU32, Ordering::SeqCst};

/// Priority bits that exist: the upper five, as many as the list registers of the CPUs we know compare.
const PRIORITY_MASK: u8 = 0xF8;

/// A bit for each of thirty-two interrupts.
///
/// All accesses are sequentially consistent: who changes something and then looks whether anybody has to be told, and
/// who is told to look and then looks, must not miss each other. It costs no instruction more than weaker orders here.
#[derive(Default)]
pub struct Flags(AtomicU32);

impl Flags {
    const fn new(bits: u32) -> Self {
        Self(AtomicU32::new(bits))
    }

    /// Returns all of them.
    #[inline(always)]
    pub fn get(&self) -> u32 {
        self.0.load(SeqCst)
    }

    /// Replaces all of them.
    #[inline(always)]
    pub fn put(&self, bits: u32) {
        self.0.store(bits, SeqCst);
    }

    /// Sets these; those that were clear before.
    #[inline(always)]
    pub fn set(&self, bits: u32) -> u32 {
        bits & !self.0.fetch_or(bits, SeqCst)
    }

    /// Clears these; those that were set before.
    #[inline(always)]
    pub fn clear(&self, bits: u32) -> u32 {
        bits & self.0.fetch_and(!bits, SeqCst)
    }

    /// Sets or clears these; those that changed.
    #[inline(always)]
    pub fn assign(&self, bits: u32, on: bool) -> u32 {
        if on { self.set(bits) } else { self.clear(bits) }
    }
}

/// Thirty-two interrupts.
pub struct Bank {
    /// GICx_IGROUPR: group 1, else group 0.
    pub group: Flags,
    /// GICx_ISENABLER.
    pub enabled: Flags,
    /// Pending until it is taken: an edge, a write to ISPENDR, an SGI.
    pub latched: Flags,
    /// The device's line is up.
    pub line: Flags,
    /// GICx_ICFGR: edge-triggered, else level-sensitive.
    pub edge: Flags,
    /// Active; of one that is held, as far as its holder knew when it looked last.
    pub active: Flags,
    /// Held and pending, as far as its holder knew when it looked last.
    pub offered: Flags,
    /// Some vCPU holds it.
    pub held: Flags,
    /// A wish to whoever holds it: it is to be active.
    pub activate: Flags,
    /// A wish to whoever holds it: it is to be inactive.
    pub deactivate: Flags,
    /// A wish to whoever holds it: it is no longer to be pending.
    pub withdraw: Flags,
    /// GICx_IPRIORITYR.
    priority: [AtomicU8; 32],
}

/// A register of one bit per interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bits {
    /// GICx_IGROUPR.
    Group,
    /// GICx_ISENABLER.
    SetEnable,
    /// GICx_ICENABLER.
    ClearEnable,
    /// GICx_ISPENDR.
    SetPending,
    /// GICx_ICPENDR.
    ClearPending,
    /// GICx_ISACTIVER.
    SetActive,
    /// GICx_ICACTIVER.
    ClearActive,
}

impl Bits {
    /// Finds the register at an offset from the distributor or a redistributor's SGI frame, and which one of its kind.
    pub fn at(offset: u64) -> Option<(Self, usize)> {
        let register = match offset >> 7 {
            1 => Self::Group,
            2 => Self::SetEnable,
            3 => Self::ClearEnable,
            4 => Self::SetPending,
            5 => Self::ClearPending,
            6 => Self::SetActive,
            7 => Self::ClearActive,
            _ => return None,
        };
        Some((register, (offset & 0x7F) as usize / 4))
    }
}

impl Default for Bank {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Bank {
    /// Makes a bank out of reset: all group 1 as a system without security has them, disabled, those of `edge`
    /// edge-triggered.
    pub const fn new(edge: u32) -> Self {
        Self {
            group: Flags::new(u32::MAX),
            enabled: Flags::new(0),
            latched: Flags::new(0),
            line: Flags::new(0),
            edge: Flags::new(edge),
            active: Flags::new(0),
            offered: Flags::new(0),
            held: Flags::new(0),
            activate: Flags::new(0),
            deactivate: Flags::new(0),
            withdraw: Flags::new(0),
            priority: [const { AtomicU8::new(0) }; 32],
        }
    }

    /// Puts it back to what it is out of reset.
    pub fn reset(&self, edge: u32) {
        for flags in [
            &self.enabled,
            &self.latched,
            &self.line,
            &self.active,
            &self.offered,
            &self.held,
            &self.activate,
            &self.deactivate,
            &self.withdraw,
        ] {
            flags.put(0);
        }
        self.group.put(u32::MAX);
        self.edge.put(edge);
        for priority in &self.priority {
            priority.store(0, SeqCst);
        }
    }

    /// Returns those that are pending and that nobody holds, so that a CPU should take them up, given the groups that
    /// are on.
    #[inline]
    pub fn ready(&self, enabled_groups: u32) -> u32 {
        self.ready_with(enabled_groups, self.line.get() & !self.edge.get())
    }

    /// Returns those that are [ready](Self::ready) if these are the levels that are up.
    #[inline]
    pub fn ready_with(&self, enabled_groups: u32, levels: u32) -> u32 {
        let pending = (self.latched.get() | levels) & self.enabled.get();
        if pending == 0 {
            return 0;
        }
        pending & self.in_groups(enabled_groups) & !self.held.get() & !self.active.get()
    }

    /// Returns those that are enabled and whose group is on.
    #[inline]
    pub fn deliverable(&self, enabled_groups: u32) -> u32 {
        self.enabled.get() & self.in_groups(enabled_groups)
    }

    /// Returns those whose group is on in GICD_CTLR.
    #[inline]
    fn in_groups(&self, enabled_groups: u32) -> u32 {
        let all_if = |on: u32| 0u32.wrapping_sub(on & 1);
        let group = self.group.get();
        group & all_if(enabled_groups >> 1) | !group & all_if(enabled_groups)
    }

    /// Returns active ones that nobody holds.
    #[inline]
    pub fn resting(&self) -> u32 {
        let active = self.active.get();
        if active == 0 { 0 } else { active & !self.held.get() }
    }

    /// Returns those of these of which anything is to be done: the others are idle, and who wakes one tells whom that
    /// concerns.
    #[inline]
    pub fn busy(&self, bits: u32) -> u32 {
        bits & (self.latched.get() | self.line.get() | self.held.get() | self.active.get())
    }

    /// Lets go of one for its holder, and then looks whether somebody has wished anything of it meanwhile.
    #[inline]
    pub fn release(&self, bit: u32) {
        self.offered.clear(bit);
        self.held.clear(bit);
    }

    /// Sets lines; whether that changes anything for a CPU.
    pub fn set_line(&self, bit: u32, up: bool) -> bool {
        let changed = self.line.assign(bit, up);
        if up {
            self.latched.set(changed & self.edge.get());
        }
        changed != 0
    }

    /// Returns those for whose holders somebody has written down a wish.
    #[inline]
    pub fn wishes(&self) -> u32 {
        self.activate.get() | self.deactivate.get() | self.withdraw.get()
    }

    /// Fulfils wishes about those of `bits` that nobody holds. Those that somebody does, who has to hear of it.
    pub fn settle(&self, bits: u32) -> u32 {
        let wished = bits & self.wishes();
        let others = if wished == 0 { 0 } else { self.settle_some(wished) };
        others | bits & self.held.get()
    }

    fn settle_some(&self, bits: u32) -> u32 {
        // Who holds it may change it: for the moment that is us.
        let mut free = self.held.set(bits);
        let others = bits & !free;
        // What was wished for meanwhile is ours to do, too: a turn is shorter than what leads to such a wish.
        while free != 0 {
            self.withdraw_latched(free);
            let inactive = self.deactivate.clear(free);
            self.active.clear(inactive);
            let active = self.activate.clear(free);
            self.active.set(active);
            self.held.clear(free);
            let wished = free & self.wishes();
            free = if wished == 0 { 0 } else { self.held.set(wished) };
        }
        others
    }

    /// Fulfils wishes to be no longer pending, as far as the latch goes, about these, which the caller holds. Those
    /// about which there were any.
    pub fn withdraw_latched(&self, bits: u32) -> u32 {
        let withdrawn = self.withdraw.clear(bits);
        if withdrawn != 0 {
            self.latched.clear(withdrawn);
        }
        withdrawn
    }

    /// Reads a register of bits. `levels` are lines that nobody has told the bank of.
    pub fn read(&self, register: Bits, levels: u32) -> u32 {
        match register {
            Bits::Group => self.group.get(),
            Bits::SetEnable | Bits::ClearEnable => self.enabled.get(),
            // A vCPU that is off fulfils no wishes.
            Bits::SetPending | Bits::ClearPending => {
                (self.latched.get() | self.offered.get()) & !self.withdraw.get()
                    | (self.line.get() | levels) & !self.edge.get()
            }
            Bits::SetActive | Bits::ClearActive => self.active.get() & !self.deactivate.get() | self.activate.get(),
        }
    }

    /// Writes a register of bits. Some of that is only wished, and is to be settled ([`Self::settle`]).
    pub fn write(&self, register: Bits, value: u32) {
        match register {
            Bits::Group => self.group.put(value),
            Bits::SetEnable => {
                self.enabled.set(value);
            }
            Bits::ClearEnable => {
                self.enabled.clear(value);
            }
            Bits::SetPending => {
                self.latched.set(value);
            }
            Bits::ClearPending => {
                // Its latch, too, is only for who holds it: a holder may just be putting an edge back there.
                self.withdraw.set(value);
            }
            Bits::SetActive => {
                self.deactivate.clear(value);
                self.activate.set(value);
            }
            Bits::ClearActive => {
                self.activate.clear(value);
                self.deactivate.set(value);
            }
        }
    }

    /// Returns an interrupt's priority.
    #[inline]
    pub fn priority(&self, number: u32) -> u8 {
        self.priority[number as usize % 32].load(SeqCst)
    }

    /// Reads priorities from interrupt `first` on.
    pub fn read_priorities(&self, first: usize, width: Width) -> u64 {
        let mut value = 0;
        for (n, priority) in self.priority.iter().skip(first).take(usize::from(width)).enumerate() {
            value |= u64::from(priority.load(SeqCst)) << (8 * n);
        }
        value
    }

    /// Writes priorities from interrupt `first` on; which interrupts' those are.
    pub fn write_priorities(&self, first: usize, width: Width, value: u64) -> u32 {
        let mut bits = 0;
        for (n, priority) in self.priority.iter().enumerate().skip(first).take(usize::from(width)) {
            priority.store((value >> (8 * (n - first))) as u8 & PRIORITY_MASK, SeqCst);
            bits |= 1 << n;
        }
        bits
    }

    /// Reads a half of GICx_ICFGR: two bits for each of sixteen interrupts, the upper one says edge.
    pub fn read_config(&self, half: usize) -> u32 {
        let edges = self.edge.get() >> (16 * half);
        (0..16).filter(|n| edges & 1 << n != 0).fold(0, |value, n| value | 2 << (2 * n))
    }

    /// Writes a half of GICx_ICFGR.
    pub fn write_config(&self, half: usize, value: u32) {
        let edges = (0..16).filter(|n| value & 2 << (2 * n) != 0).fold(0u32, |edges, n| edges | 1 << n);
        let shift = 16 * half;
        self.edge.clear(!edges << shift & 0xFFFF << shift);
        self.edge.set(edges << shift);
    }
}
