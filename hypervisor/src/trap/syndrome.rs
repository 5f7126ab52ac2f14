// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ESR_EL2 says (Arm ARM D19.2.39).
#![forbid(unsafe_code)]

/// The exception classes that a guest can cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// WFI; WFE does not trap.
    Wfi,
    /// HVC.
    Hvc,
    /// SMC.
    Smc,
    /// MSR, MRS or a system instruction.
    SystemRegister,
    /// An instruction fetch that stage 2 refused.
    InstructionAbort,
    /// A data access that stage 2 refused.
    DataAbort,
    /// Anything else: an instruction that the guest does not have.
    Other,
}

impl Class {
    /// Returns the class of a syndrome.
    #[inline(always)]
    pub fn of(esr: u64) -> Self {
        match esr >> 26 & 0x3F {
            0x01 => Self::Wfi,
            0x16 => Self::Hvc,
            0x17 => Self::Smc,
            0x18 => Self::SystemRegister,
            0x20 => Self::InstructionAbort,
            0x24 => Self::DataAbort,
            _ => Self::Other,
        }
    }
}

/// Returns the bytes of the instruction that trapped (IL): 2 for a short one of AArch32's T32, which may run at EL0.
#[inline(always)]
pub fn instruction_length(esr: u64) -> u64 {
    const IL: u64 = 1 << 25;
    if esr & IL != 0 { 4 } else { 2 }
}

/// A data access of which the syndrome says enough to emulate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Bytes: 1, 2, 4 or 8.
    pub width: u8,
    /// The general register that is loaded or stored; 31 is XZR.
    pub register: u8,
    /// A store.
    pub write: bool,
    /// A load puts copies of the uppermost bit in front.
    pub sign_extend: bool,
    /// The register is 64 bits wide.
    pub wide: bool,
}

impl Access {
    /// Reads the access of a data abort; `None` if the syndrome doesn't say (ISV), as for pairs and for write-back
    /// ([`super::instruction`]).
    #[inline(always)]
    pub fn of(esr: u64) -> Option<Self> {
        const ISV: u64 = 1 << 24;
        (esr & ISV != 0).then(|| Self {
            width: 1 << (esr >> 22 & 3),
            register: (esr >> 16 & 31) as u8,
            write: esr & 1 << 6 != 0,
            sign_extend: esr & 1 << 21 != 0,
            wide: esr & 1 << 15 != 0,
        })
    }

    /// Says what a load puts into its register, given what the device answers, whose byte order is little.
    #[inline(always)]
    pub fn loaded(&self, value: u64, big_endian: bool) -> u64 {
        let unused = 64 - 8 * u32::from(self.width);
        let value = if big_endian { value.swap_bytes() >> unused } else { value };
        let value =
            if self.sign_extend { (((value << unused) as i64) >> unused) as u64 } else { value << unused >> unused };
        if self.wide { value } else { value & 0xFFFF_FFFF }
    }

    /// Says what a store writes to the device, given its register.
    #[inline(always)]
    pub fn stored(&self, register: u64, big_endian: bool) -> u64 {
        let unused = 64 - 8 * u32::from(self.width);
        if big_endian { register.swap_bytes() >> unused } else { register << unused >> unused }
    }
}

/// Returns the page and offset of a stage 2 fault: HPFAR_EL2 has the page, FAR_EL2 the offset.
#[inline(always)]
pub fn fault_address(hpfar: u64, far: u64) -> u64 {
    (hpfar & 0xFFF_FFFF_FFF0) << 8 | far & 0xFFF
}

/// A system register access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemAccess {
    /// op0, op1, CRn, CRm, op2.
    pub register: (u8, u8, u8, u8, u8),
    /// The general register.
    pub rt: u8,
    /// MRS.
    pub read: bool,
}

impl SystemAccess {
    /// Reads the access of a trapped MSR or MRS.
    #[inline(always)]
    pub fn of(esr: u64) -> Self {
        let field = |shift: u32, bits: u32| (esr >> shift & ((1 << bits) - 1)) as u8;
        Self {
            register: (field(20, 2), field(14, 3), field(10, 4), field(1, 4), field(17, 3)),
            rt: field(5, 5),
            read: esr & 1 != 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_extended_as_its_instruction_says() {
        // ISV, SAS = byte, SSE, SRT = 3, SF.
        let access = Access::of(0x24 << 26 | 1 << 24 | 1 << 21 | 3 << 16 | 1 << 15).unwrap();
        assert_eq!((access.width, access.register, access.write), (1, 3, false));
        assert_eq!(access.loaded(0x1234_5680, false), 0xFFFF_FFFF_FFFF_FF80);
        let access = Access::of(1 << 24 | 1 << 22 | 1 << 21).unwrap();
        assert_eq!(access.loaded(0x8000, false), 0xFFFF_8000);
        let access = Access::of(1 << 24 | 3 << 22 | 1 << 15).unwrap();
        assert_eq!(access.loaded(u64::MAX, false), u64::MAX);
    }

    #[test]
    fn a_store_writes_its_width() {
        let access = Access::of(1 << 24 | 1 << 22 | 1 << 6).unwrap();
        assert!(access.write);
        assert_eq!(access.stored(0xFFFF_1234, false), 0x1234);
    }

    #[test]
    fn a_big_endian_guest_has_its_bytes_the_other_way_round() {
        for (width, register, device) in
            [(1, 0x12, 0x12), (2, 0x1234, 0x3412), (4, 0x1234_5678, 0x7856_3412), (8, 0x1234_5678, 0x7856_3412 << 32)]
        {
            let access = Access { width, register: 0, write: true, sign_extend: false, wide: width == 8 };
            assert_eq!(access.stored(register, true), device);
            assert_eq!(access.loaded(device, true), register);
        }
        let access = Access { width: 2, register: 0, write: false, sign_extend: true, wide: true };
        assert_eq!(access.loaded(0x0080, true), 0xFFFF_FFFF_FFFF_8000);
    }

    #[test]
    fn an_access_without_syndrome_is_none() {
        assert_eq!(Access::of(0x24 << 26 | 1 << 6), None);
    }

    #[test]
    fn a_register_is_named_by_its_encoding() {
        // MSR ICC_SGI1R_EL1, X1: S3_0_C12_C11_5.
        let esr = 0x18 << 26 | 3 << 20 | 5 << 17 | 12 << 10 | 1 << 5 | 11 << 1;
        assert_eq!(Class::of(esr), Class::SystemRegister);
        assert_eq!(SystemAccess::of(esr), SystemAccess { register: (3, 0, 12, 11, 5), rt: 1, read: false });
    }

    #[test]
    fn a_short_instruction_has_two_bytes() {
        assert_eq!(instruction_length(0x01 << 26 | 1 << 25), 4);
        assert_eq!(instruction_length(0x01 << 26), 2);
    }

    #[test]
    fn the_faulting_address_is_put_together() {
        assert_eq!(fault_address(0x9_0000, 0xFFFF_0000_1234_5018), 0x0900_0018);
    }
}
