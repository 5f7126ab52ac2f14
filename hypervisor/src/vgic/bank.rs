//! Thirty-two interrupts: configuration and state, a bit each.

use super::Width;

/// Priority bits that exist: the upper five, as many as the list registers of the CPUs we know compare.
const PRIORITY_MASK: u8 = 0xF8;

/// Thirty-two interrupts.
pub struct Bank {
    /// GICx_IGROUPR: group 1, else group 0.
    pub group: u32,
    /// GICx_ISENABLER.
    pub enabled: u32,
    /// Pending until it is taken: an edge, a write to ISPENDR, an SGI, the virtual timer.
    pub latched: u32,
    /// The device's line is up.
    pub line: u32,
    /// GICx_ICFGR: edge-triggered, else level-sensitive.
    pub edge: u32,
    /// Active, as far as is known: for one in a list register, when that was last looked at.
    pub active: u32,
    /// In a list register of the CPU it goes to.
    pub listed: u32,
    /// Of the listed ones, those that are pending because they were latched, not because of their line.
    pub taken: u32,
    /// The guest asked for listed ones to be deactivated.
    pub deactivate: u32,
    /// GICx_IPRIORITYR.
    pub priority: [u8; 32],
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
    /// The register at an offset from the distributor or a redistributor's SGI frame, and which one of its kind.
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
        Self::new()
    }
}

impl Bank {
    /// Out of reset: all group 1 as a system without security has them, disabled, level-sensitive.
    pub const fn new() -> Self {
        Self {
            group: u32::MAX,
            enabled: 0,
            latched: 0,
            line: 0,
            edge: 0,
            active: 0,
            listed: 0,
            taken: 0,
            deactivate: 0,
            priority: [0; 32],
        }
    }

    /// Those that a CPU should have in a list register, given the groups that are on.
    #[inline]
    pub fn ready(&self, groups: u32) -> u32 {
        (self.latched | self.line & !self.edge) & self.enabled & groups & !self.listed & !self.active
    }

    /// Those whose group is on in GICD_CTLR.
    #[inline]
    pub fn in_groups(&self, enabled_groups: u32) -> u32 {
        let all_if = |on: u32| 0u32.wrapping_sub(on & 1);
        self.group & all_if(enabled_groups >> 1) | !self.group & all_if(enabled_groups)
    }

    /// One in a list register is over.
    #[inline]
    pub fn end(&mut self, bit: u32) {
        self.listed &= !bit;
        self.active &= !bit;
        self.taken &= !bit;
        self.deactivate &= !bit;
    }

    /// Sets lines; whether that changes anything for a CPU.
    pub fn set_line(&mut self, bit: u32, up: bool) -> bool {
        let before = self.line;
        self.line = if up { before | bit } else { before & !bit };
        if up && before & bit == 0 {
            self.latched |= bit & self.edge;
        }
        before != self.line
    }

    /// Reads a register of bits.
    pub fn read(&self, register: Bits) -> u32 {
        match register {
            Bits::Group => self.group,
            Bits::SetEnable | Bits::ClearEnable => self.enabled,
            Bits::SetPending | Bits::ClearPending => self.latched | self.line & !self.edge | self.listed & !self.active,
            Bits::SetActive | Bits::ClearActive => self.active,
        }
    }

    /// Writes a register of bits.
    pub fn write(&mut self, register: Bits, value: u32) {
        match register {
            Bits::Group => self.group = value,
            Bits::SetEnable => self.enabled |= value,
            Bits::ClearEnable => self.enabled &= !value,
            Bits::SetPending => self.latched |= value,
            Bits::ClearPending => {
                self.latched &= !value;
                self.taken &= !value;
            }
            // One in a list register is active or soon will be; there is nothing to add.
            Bits::SetActive => self.active |= value & !self.listed,
            Bits::ClearActive => {
                self.deactivate |= value & self.listed;
                self.active &= !value;
            }
        }
    }

    /// Reads priorities from interrupt `first` on.
    pub fn read_priorities(&self, first: usize, width: Width) -> u64 {
        let mut value = 0;
        for (n, priority) in self.priority.iter().skip(first).take(usize::from(width)).enumerate() {
            value |= u64::from(*priority) << (8 * n);
        }
        value
    }

    /// Writes priorities from interrupt `first` on.
    pub fn write_priorities(&mut self, first: usize, width: Width, value: u64) {
        for (n, priority) in self.priority.iter_mut().skip(first).take(usize::from(width)).enumerate() {
            *priority = (value >> (8 * n)) as u8 & PRIORITY_MASK;
        }
    }

    /// Reads a half of GICx_ICFGR: two bits for each of sixteen interrupts, the upper one says edge.
    pub fn read_config(&self, half: usize) -> u32 {
        let edges = self.edge >> (16 * half);
        (0..16).filter(|n| edges & 1 << n != 0).fold(0, |value, n| value | 2 << (2 * n))
    }

    /// Writes a half of GICx_ICFGR.
    pub fn write_config(&mut self, half: usize, value: u32) {
        let edges = (0..16).filter(|n| value & 2 << (2 * n) != 0).fold(0u32, |edges, n| edges | 1 << n);
        let shift = 16 * half;
        self.edge = self.edge & !(0xFFFF << shift) | edges << shift;
    }
}
