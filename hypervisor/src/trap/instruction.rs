//! Loads and stores of which the syndrome of an abort says nothing (ISV = 0, Arm ARM D19.2.39): those that change their base
//! register, and pairs. Compilers make them of plain loops over registers of a device.
#![forbid(unsafe_code)]

use super::syndrome::Access;

/// What an A64 instruction transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The first access; the second one of a pair is behind it.
    pub first: Access,
    /// The second one's register.
    pub second: Option<u8>,
    /// The base register; 31 is SP.
    pub base: u8,
    /// What is added to it before the access.
    offset: i64,
    /// What it is changed by in the end.
    pub change: Option<i64>,
}

impl Transfer {
    /// Decodes a load or store of one or two general registers with an immediate offset (Arm ARM C4.1.94). `None` for all others:
    /// floating point and vectors, exclusives and atomics, and those that a syndrome describes.
    pub fn decode(instruction: u32) -> Option<Self> {
        let field = |shift: u32, bits: u32| instruction >> shift & ((1 << bits) - 1);
        let signed = |value: u32, bits: u32| i64::from((value << (32 - bits)) as i32 >> (32 - bits));
        let (rt, base) = (field(0, 5) as u8, field(5, 5) as u8);
        // Bits 29:27 and V.
        match (field(27, 3), field(26, 1), field(24, 2), field(21, 1)) {
            (0b111, 0, 0b00, 0) => {
                let (size, opc, offset) = (field(30, 2), field(22, 2), signed(field(12, 9), 9));
                let (before, change) = match field(10, 2) {
                    0b01 => (0, offset),
                    0b11 => (offset, offset),
                    _ => return None,
                };
                if size == 3 && opc > 1 || size == 2 && opc == 3 {
                    return None;
                }
                let first = Access {
                    width: 1 << size,
                    register: rt,
                    write: opc == 0,
                    sign_extend: opc > 1,
                    wide: size == 3 || opc == 2,
                };
                Some(Self { first, second: None, base, offset: before, change: Some(change) })
            }
            (0b101, 0, 0b00 | 0b01, _) => {
                let (opc, load, offset) = (field(30, 2), field(22, 1) == 1, signed(field(15, 7), 7));
                let (width, sign_extend) = match (opc, load) {
                    (0, _) => (4, false),
                    (1, true) => (4, true),
                    (2, _) => (8, false),
                    _ => return None,
                };
                let offset = offset * i64::from(width);
                let (before, change) = match field(23, 2) {
                    0b01 => (0, Some(offset)),
                    0b11 => (offset, Some(offset)),
                    // With and without a hint that it won't be needed again.
                    _ => (offset, None),
                };
                let wide = width == 8 || sign_extend;
                let first = Access { width, register: rt, write: !load, sign_extend, wide };
                Some(Self { first, second: Some(field(10, 5) as u8), base, offset: before, change })
            }
            _ => None,
        }
    }

    /// The address of the first access, given the base register.
    pub fn address(&self, base: u64) -> u64 {
        base.wrapping_add_signed(self.offset)
    }

    /// Both accesses.
    pub fn accesses(&self) -> impl Iterator<Item = Access> {
        let second = self.second.map(|register| Access { register, ..self.first });
        [Some(self.first), second].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(instruction: u32) -> Transfer {
        Transfer::decode(instruction).expect("it is a load or store")
    }

    #[test]
    fn single_registers_with_write_back() {
        // ldr w0, [x1], #4
        let transfer = decoded(0xB840_4420);
        let first = Access { width: 4, register: 0, write: false, sign_extend: false, wide: false };
        assert_eq!(transfer, Transfer { first, second: None, base: 1, offset: 0, change: Some(4) });
        assert_eq!(transfer.address(0x1000), 0x1000);
        // str x2, [sp, #-16]!
        let transfer = decoded(0xF81F_0FE2);
        let first = Access { width: 8, register: 2, write: true, sign_extend: false, wide: true };
        assert_eq!(transfer, Transfer { first, second: None, base: 31, offset: -16, change: Some(-16) });
        assert_eq!(transfer.address(0x1000), 0xFF0);
        // strb w3, [x4], #1; ldrsb x3, [x4], #1; ldrsh w3, [x4, #2]!; ldrsw x3, [x4], #4
        for (instruction, width, write, sign_extend, wide) in [
            (0x3800_1483, 1, true, false, false),
            (0x3880_1483, 1, false, true, true),
            (0x78C0_2C83, 2, false, true, false),
            (0xB880_4483, 4, false, true, true),
        ] {
            let first = Access { width, register: 3, write, sign_extend, wide };
            assert_eq!(decoded(instruction).first, first, "{instruction:#x}");
        }
    }

    #[test]
    fn pairs() {
        // ldp w5, w6, [x7]; stp x5, x6, [x7, #16]; ldp w5, w6, [x7], #8; stp w5, w6, [x7, #-8]!; ldpsw x5, x6, [x7, #8];
        // ldnp x5, x6, [x7, #-16]
        for (instruction, width, write, offset, change) in [
            (0x2940_18E5, 4, false, 0, None),
            (0xA901_18E5, 8, true, 16, None),
            (0x28C1_18E5, 4, false, 0, Some(8)),
            (0x29BF_18E5, 4, true, -8, Some(-8)),
            (0x6941_18E5, 4, false, 8, None),
            (0xA87F_18E5, 8, false, -16, None),
        ] {
            let transfer = decoded(instruction);
            let sign_extend = instruction == 0x6941_18E5;
            let first = Access { width, register: 5, write, sign_extend, wide: width == 8 || sign_extend };
            let expected = Transfer { first, second: Some(6), base: 7, offset, change };
            assert_eq!(transfer, expected, "{instruction:#x}");
            let registers: Vec<u8> = transfer.accesses().map(|access| access.register).collect();
            assert_eq!(registers, [5, 6]);
        }
    }

    #[test]
    fn everything_else_is_none_of_these() {
        for instruction in [
            0xB940_0020, // ldr w0, [x1]
            0xB840_0020, // ldur w0, [x1]
            0xF8A2_6820, // prfm
            0xF880_0C20, // size 3, signed
            0xFC40_8420, // ldr d0, [x1], #8
            0x6D40_0420, // ldp d0, d1, [x1]
            0x6900_0420, // stgp
            0x885F_7C20, // ldxr w0, [x1]
            0xB820_0020, // ldadd w0, w0, [x1]
            0xD503_201F, // nop
            0,
            u32::MAX,
        ] {
            assert_eq!(Transfer::decode(instruction), None, "{instruction:#x}");
        }
    }
}
