// SPDX-License-Identifier: MIT OR Apache-2.0
//! GICD registers (GICv3 §12.9).

use super::bank::Bits;
use super::redistributor::News;
use super::{Concerned, SPI_BANKS, VcpuMask, Vgic, Width};
use core::sync::atomic::Ordering::SeqCst;

/// GICD_IIDR and GICR_IIDR: Arm's JEP106 code (0x43B), and product, variant and revision 0: no GIC of theirs.
pub const IIDR: u32 = 0x43B;
/// GICx_PIDR4 to 7, 0 to 3, and GICx_CIDR0 to 3, as QEMU's: a GICv3 of Arm's design.
const IDENTIFICATION: [u8; 12] = [0x44, 0, 0, 0, 0, 0xB4, 0x3B, 0, 0x0D, 0xF0, 0x05, 0xB1];
/// GICD_PIDR0: a distributor's part number.
pub const DISTRIBUTOR: u8 = 0x92;
/// GICR_PIDR0: a redistributor's.
pub const REDISTRIBUTOR: u8 = 0x93;

/// Returns the identification registers, at the same offsets from 0xFFD0 on in both.
pub fn identification(offset: u64, part: u8) -> u64 {
    match offset {
        0xFFE0 => part.into(),
        0xFFD0..=0xFFFC => IDENTIFICATION[(offset - 0xFFD0) as usize / 4].into(),
        _ => 0,
    }
}

/// GICD_CTLR: affinity routing always on (ARE), one security state (DS).
const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;
/// GICD_TYPER: No1N, 10 bits of INTID, 128 interrupts, no LPIs, no security.
const TYPER: u32 = 1 << 25 | 9 << 19 | SPI_BANKS as u32;

impl Vgic {
    /// Reads a register.
    #[inline]
    pub fn read_distributor(&self, offset: u64, width: Width) -> u64 {
        match offset {
            0x0000 => u64::from(CTLR_FIXED | self.enabled_groups.load(SeqCst)),
            0x0004 => u64::from(TYPER),
            _ => self.read_distributor_slow(offset, width),
        }
    }

    fn read_distributor_slow(&self, offset: u64, width: Width) -> u64 {
        match offset {
            0x0008 => u64::from(IIDR),
            0x0080..0x0400 => {
                self.spi_bits(offset).map_or(0, |(register, n)| u64::from(self.spis[n].read(register, 0)))
            }
            0x0420..0x0480 => {
                let first = (offset - 0x420) as usize;
                self.spis[first / 32].read_priorities(first % 32, width)
            }
            0x0C08..0x0C20 => {
                let n = (offset - 0xC08) as usize / 4;
                u64::from(self.spis[n / 2].read_config(n % 2))
            }
            0x6100..0x6400 => self.read_route(offset - 0x6100, width),
            0xFFD0..=0xFFFC => identification(offset, DISTRIBUTOR),
            _ => 0,
        }
    }

    /// Returns the vCPUs that hold what a register of states shows.
    pub fn distributor_holders(&self, offset: u64) -> VcpuMask {
        match (offset, self.spi_bits(offset)) {
            (0x200..0x400, Some((_, n))) => self.holders(n, self.spis[n].held.get()),
            _ => 0,
        }
    }

    /// Writes a register.
    pub fn write_distributor(&self, offset: u64, width: Width, value: u64) -> Concerned {
        match offset {
            0x0000 => {
                self.enabled_groups.store(value as u32 & 3, SeqCst);
                self.tell(self.everybody(), News::all());
                Concerned { look: self.everybody(), hold: 0 }
            }
            0x0080..0x0400 => {
                let Some((register, n)) = self.spi_bits(offset) else { return Concerned::default() };
                let bank = &self.spis[n];
                // A register of groups is written as a whole.
                let value = value as u32;
                let changed = if register == Bits::Group { bank.group.get() ^ value } else { value };
                bank.write(register, value);
                let mut concerned = self.concerned(n, changed);
                match register {
                    Bits::ClearPending | Bits::SetActive | Bits::ClearActive => {
                        self.tell(concerned.look, News::WISHES);
                    }
                    // What is added shows in any case.
                    Bits::SetEnable | Bits::SetPending => concerned.hold = 0,
                    Bits::Group | Bits::ClearEnable => {}
                }
                concerned
            }
            0x0420..0x0480 => {
                let first = (offset - 0x420) as usize;
                let changed = self.spis[first / 32].write_priorities(first % 32, width, value);
                self.concerned(first / 32, changed)
            }
            0x0C08..0x0C20 => {
                let n = (offset - 0xC08) as usize / 4;
                self.spis[n / 2].write_config(n % 2, value as u32);
                self.concerned(n / 2, 0xFFFF << (16 * (n % 2)))
            }
            0x6100..0x6400 => self.write_route(offset - 0x6100, width, value),
            _ => Concerned::default(),
        }
    }

    /// Finds the register of bits at `offset`, and the bank of SPIs. None for the private interrupts', which are zero
    /// here.
    fn spi_bits(&self, offset: u64) -> Option<(Bits, usize)> {
        let (register, n) = Bits::at(offset)?;
        let bank = n.checked_sub(1)?;
        (bank < SPI_BANKS).then_some((register, bank))
    }

    /// Reads GICD_IROUTER, as a whole or by halves.
    fn read_route(&self, offset: u64, width: Width) -> u64 {
        let value = self.routes[offset as usize / 8].load(SeqCst) >> (8 * (offset % 8));
        if width == 8 { value } else { value & 0xFFFF_FFFF }
    }

    /// Writes GICD_IROUTER. An affinity that no vCPU has leaves the SPI pending and routed to nobody.
    fn write_route(&self, offset: u64, width: Width, value: u64) -> Concerned {
        let spi = offset as usize / 8;
        let route = &self.routes[spi];
        // Another vCPU may be writing the other half.
        let _ = route.fetch_update(SeqCst, SeqCst, |old| {
            Some(match (width, offset % 8) {
                (8, _) => value,
                (_, 0) => old & !0xFFFF_FFFF | value & 0xFFFF_FFFF,
                _ => old & 0xFFFF_FFFF | value << 32,
            })
        });
        // Who has it pending gives it up, and the new one takes it.
        self.concerned(spi / 32, 1 << (spi % 32))
    }
}
