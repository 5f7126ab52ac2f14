//! GICD registers (GICv3 §12.9).

use super::bank::Bits;
use super::{SPI_BANKS, Vgic, Width};

/// GICD_IIDR and GICR_IIDR: Arm's JEP106 code (0x43B), and product, variant and revision 0: no GIC of theirs.
pub const IIDR: u32 = 0x43B;
/// GICx_PIDR2.ArchRev: GICv3.
pub const PIDR2_GICV3: u32 = 0x3B;

/// GICD_CTLR: affinity routing always on (ARE), one security state (DS).
const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;
/// GICD_TYPER: No1N, 10 bits of INTID, 128 interrupts, no LPIs, no security.
const TYPER: u32 = 1 << 25 | 9 << 19 | SPI_BANKS as u32;

impl Vgic {
    /// Reads a register.
    #[inline]
    pub fn read_distributor(&self, offset: u64, width: Width) -> u64 {
        match offset {
            0x0000 => u64::from(CTLR_FIXED | self.enabled_groups),
            0x0004 => u64::from(TYPER),
            _ => self.read_distributor_slow(offset, width),
        }
    }

    fn read_distributor_slow(&self, offset: u64, width: Width) -> u64 {
        match offset {
            0x0008 => u64::from(IIDR),
            0x0080..0x0400 => self.spi_bits(offset).map_or(0, |(register, n)| u64::from(self.spis[n].read(register))),
            0x0420..0x0480 => {
                let first = (offset - 0x420) as usize;
                self.spis[first / 32].read_priorities(first % 32, width)
            }
            0x0C08..0x0C20 => {
                let n = (offset - 0xC08) as usize / 4;
                u64::from(self.spis[n / 2].read_config(n % 2))
            }
            0x6100..0x6400 if offset.is_multiple_of(8) => u64::from(self.routes[(offset - 0x6100) as usize / 8]),
            0xFFE8 => u64::from(PIDR2_GICV3),
            _ => 0,
        }
    }

    /// Writes a register.
    pub fn write_distributor(&mut self, offset: u64, width: Width, value: u64) {
        match offset {
            0x0000 => {
                self.enabled_groups = value as u32 & 3;
                self.touch_all();
            }
            0x0080..0x0400 => {
                if let Some((register, n)) = self.spi_bits(offset) {
                    self.spis[n].write(register, value as u32);
                    for cpu in 0..self.cpus.len() {
                        if self.cpus[cpu].routed[n] & value as u32 != 0 || register == Bits::Group {
                            self.stale |= 1 << cpu;
                        }
                    }
                }
            }
            0x0420..0x0480 => {
                let first = (offset - 0x420) as usize;
                self.spis[first / 32].write_priorities(first % 32, width, value);
            }
            0x0C08..0x0C20 => {
                let n = (offset - 0xC08) as usize / 4;
                self.spis[n / 2].write_config(n % 2, value as u32);
            }
            0x6100..0x6400 if offset.is_multiple_of(8) => self.route((offset - 0x6100) as usize / 8, value),
            _ => {}
        }
    }

    /// The register of bits at `offset`, and the bank of SPIs. None for the private interrupts', which are zero here.
    fn spi_bits(&self, offset: u64) -> Option<(Bits, usize)> {
        let (register, n) = Bits::at(offset)?;
        let bank = n.checked_sub(1)?;
        (bank < SPI_BANKS).then_some((register, bank))
    }

    /// GICD_IROUTER. An affinity that no vCPU has leaves the SPI pending and routed to nobody; 1 of N (IRM) goes to
    /// vCPU 0, as TYPER.No1N lets it.
    fn route(&mut self, spi: usize, value: u64) {
        const IRM: u64 = 1 << 31;
        let affinity = value & 0xFF_00FF_FFFF;
        let vcpu = if value & IRM != 0 { 0 } else { affinity.min(u64::from(u8::MAX)) as u8 };
        let bit = 1 << (spi % 32);
        let old = self.routes[spi];
        self.routes[spi] = vcpu;
        for (n, cpu) in self.cpus.iter_mut().enumerate() {
            let routed = &mut cpu.routed[spi / 32];
            *routed = if n == usize::from(vcpu) { *routed | bit } else { *routed & !bit };
        }
        for vcpu in [old, vcpu] {
            if usize::from(vcpu) < self.cpus.len() {
                self.stale |= 1 << vcpu;
            }
        }
    }
}
