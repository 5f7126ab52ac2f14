//! GICR registers: a vCPU's private interrupts and its place in the system (GICv3 §12.11, §12.12).

use super::bank::{Bank, Bits};
use super::{SPI_BANKS, Vgic, Width, distributor::IIDR, distributor::PIDR2_GICV3};

/// Size of a vCPU's frames: `RD_base` and `SGI_base`, 64 KiB each.
pub const STRIDE: u64 = 0x2_0000;
const SGI_BASE: u64 = 0x1_0000;
/// SGIs are edge-triggered, whatever one writes.
const SGIS: u32 = 0xFFFF;

/// A vCPU's redistributor and the bookkeeping of its list registers.
pub struct Redistributor {
    /// SGIs and PPIs.
    pub bank: Bank,
    /// GICR_WAKER.ProcessorSleep.
    asleep: bool,
    /// SPIs that are routed here.
    pub routed: [u32; SPI_BANKS],
    /// List registers in use.
    pub used: u16,
    /// What is in them.
    pub intids: [u16; 16],
    /// More is pending than fits.
    pub overflow: bool,
}

impl Default for Redistributor {
    fn default() -> Self {
        Self::new()
    }
}

impl Redistributor {
    /// Out of reset.
    pub const fn new() -> Self {
        let mut bank = Bank::new();
        bank.edge = SGIS;
        Self { bank, asleep: true, routed: [0; SPI_BANKS], used: 0, intids: [0; 16], overflow: false }
    }
}

impl Vgic {
    /// Reads a register of the redistributors' range. `None` if there is no redistributor.
    pub fn read_redistributor(&self, offset: u64, width: Width) -> Option<u64> {
        let vcpu = (offset / STRIDE) as usize;
        let cpu = self.cpus.get(vcpu)?;
        let offset = offset % STRIDE;
        if offset >= SGI_BASE {
            let offset = offset - SGI_BASE;
            return Some(match (Bits::at(offset), offset) {
                (Some((register, 0)), _) => u64::from(cpu.bank.read(register)),
                (_, 0x400..0x420) => cpu.bank.read_priorities((offset - 0x400) as usize, width),
                (_, 0xC00 | 0xC04) => u64::from(cpu.bank.read_config((offset - 0xC00) as usize / 4)),
                _ => 0,
            });
        }
        let typer = u64::from(vcpu + 1 == self.cpus.len()) << 4 | (vcpu as u64) << 8 | (vcpu as u64) << 32;
        Some(match offset {
            0x0004 => u64::from(IIDR),
            0x0008 if width == 8 => typer,
            0x0008 => typer & 0xFFFF_FFFF,
            0x000C => typer >> 32,
            // ChildrenAsleep follows ProcessorSleep at once.
            0x0014 => u64::from(cpu.asleep) * 6,
            0xFFE8 => u64::from(PIDR2_GICV3),
            _ => 0,
        })
    }

    /// Writes a register of the redistributors' range; `false` if there is no redistributor.
    pub fn write_redistributor(&mut self, offset: u64, width: Width, value: u64) -> bool {
        let vcpu = (offset / STRIDE) as usize;
        let Some(cpu) = self.cpus.get_mut(vcpu) else { return false };
        match offset % STRIDE {
            0x0014 => cpu.asleep = value & 2 != 0,
            offset if offset >= SGI_BASE => {
                let offset = offset - SGI_BASE;
                match (Bits::at(offset), offset) {
                    (Some((register, 0)), _) => cpu.bank.write(register, value as u32),
                    (_, 0x400..0x420) => cpu.bank.write_priorities((offset - 0x400) as usize, width, value),
                    (_, 0xC04) => cpu.bank.write_config(1, value as u32),
                    _ => return true,
                }
                self.stale |= 1 << vcpu;
            }
            _ => {}
        }
        true
    }
}
