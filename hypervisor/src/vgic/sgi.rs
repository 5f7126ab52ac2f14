//! Software-generated interrupts, sent by ICC_SGI1R_EL1 and its kin (GICv3 §12.7).

use super::{VcpuMask, Vgic};

/// Which register was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiRegister {
    /// ICC_SGI1R_EL1: group 1, and group 0, as there is one security state.
    Group1,
    /// ICC_SGI0R_EL1 or ICC_ASGI1R_EL1: group 0 only.
    Group0,
}

impl Vgic {
    /// Sends an SGI from a vCPU, and says to whom it went.
    #[inline]
    pub fn send_sgi(&mut self, from: usize, register: SgiRegister, value: u64) -> VcpuMask {
        let everybody = (1u16 << self.cpus.len()).wrapping_sub(1) as VcpuMask;
        let targets = if value & 1 << 40 != 0 {
            everybody & !(1 << from)
        } else if value & 0xFF_00FF_00FF_0000 == 0 && value >> 44 & 0xF == 0 {
            value as VcpuMask & everybody
        } else {
            // vCPUs have Aff0 alone.
            0
        };
        let bit = 1 << (value >> 24 & 0xF);
        let mut left = targets;
        while left != 0 {
            let target = left.trailing_zeros() as usize;
            left &= left - 1;
            let bank = &mut self.cpus[target].bank;
            if register == SgiRegister::Group1 || bank.group & bit == 0 {
                bank.latched |= bit;
            }
        }
        self.stale |= targets;
        targets
    }
}
