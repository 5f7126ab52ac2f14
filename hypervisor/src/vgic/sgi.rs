// SPDX-License-Identifier: MIT OR Apache-2.0
//! Software-generated interrupts, sent by ICC_SGI1R_EL1 and its kin (GICv3 §12.7).

use super::redistributor::News;
use super::{VcpuMask, Vgic};

/// Which register was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SgiRegister {
    /// ICC_SGI1R_EL1: those of group 1.
    Group1,
    /// ICC_SGI0R_EL1 or ICC_ASGI1R_EL1, which means group 0 where there is one security state.
    Group0,
}

impl Vgic {
    /// Sends an SGI from a vCPU. Who has to look.
    #[inline]
    pub fn send_sgi(&self, from: usize, register: SgiRegister, value: u64) -> VcpuMask {
        let targets = if value & 1 << 40 != 0 {
            self.everybody() & !(1 << from)
        } else if value & 0xFF_00FF_00FF_0000 == 0 {
            // RS is RES0 where ICC_CTLR_EL1.RSS is 0.
            value as VcpuMask & self.everybody()
        } else {
            // vCPUs have Aff0 alone.
            0
        };
        let bit = 1 << (value >> 24 & 0xF);
        let (mut left, mut told) = (targets, 0);
        while left != 0 {
            let target = left.trailing_zeros() as usize;
            left &= left - 1;
            let cpu = &self.cpus[target];
            // One that is pending already stays so, and its target knows.
            let group1 = cpu.bank.group.get() & bit != 0;
            if group1 == (register == SgiRegister::Group1) && cpu.bank.latched.set(bit) != 0 {
                cpu.tell(News::PRIVATE);
                told |= 1 << target;
            }
        }
        told
    }
}
