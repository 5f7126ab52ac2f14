// SPDX-License-Identifier: MIT OR Apache-2.0
//! Loads and stores of which the syndrome of an abort says nothing (ISV = 0, Arm ARM D19.2.39): those that change their
//! base register, pairs, and those of floating-point and vector registers. Compilers make them of plain loops over
//! registers of a device.
#![forbid(unsafe_code)]

use super::syndrome::Access;

/// What an A64 instruction transfers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The first element.
    pub first: Element,
    /// The second one of a pair, behind it in memory.
    pub second: Option<Element>,
    /// The base register; 31 is SP.
    pub base: u8,
    /// What is added to it before the access.
    offset: i64,
    /// What it is changed by in the end.
    pub change: Option<i64>,
}

/// What is in one register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// A general register's.
    General(Access),
    /// So many bytes of a vector register, 1 to 16.
    Vector {
        /// Its number.
        register: u8,
        /// The bytes.
        width: u8,
        /// A store.
        write: bool,
    },
}

impl Element {
    /// Returns its bytes.
    pub fn width(&self) -> u8 {
        match self {
            Self::General(access) => access.width,
            Self::Vector { width, .. } => *width,
        }
    }

    /// Says whether it is a store.
    pub fn is_write(&self) -> bool {
        match self {
            Self::General(access) => access.write,
            Self::Vector { write, .. } => *write,
        }
    }
}

/// A part of an instruction.
struct Fields(u32);

impl Fields {
    fn get(&self, shift: u32, bits: u32) -> u32 {
        self.0 >> shift & ((1 << bits) - 1)
    }

    fn signed(&self, shift: u32, bits: u32) -> i64 {
        let unused = 32 - bits;
        i64::from((self.get(shift, bits) << unused) as i32 >> unused)
    }
}

impl Transfer {
    /// Decodes a load or store of one or two registers with an immediate offset (Arm ARM C4.1.94). `None` for all
    /// others: vectors by structure or lane, exclusives and atomics, and those that a syndrome describes.
    pub fn decode(instruction: u32) -> Option<Self> {
        let fields = Fields(instruction);
        // Bits 29:27, and 25:24.
        match (fields.get(27, 3), fields.get(24, 2)) {
            (0b111, 0b00 | 0b01) => Self::single(&fields),
            (0b101, 0b00 | 0b01) => Self::pair(&fields),
            _ => None,
        }
    }

    fn single(fields: &Fields) -> Option<Self> {
        let (size, opc, register, base) =
            (fields.get(30, 2), fields.get(22, 2), fields.get(0, 5) as u8, fields.get(5, 5) as u8);
        let is_vector = fields.get(26, 1) == 1;
        let (first, scale) = if is_vector {
            let scale = if opc & 2 != 0 { 4 } else { size };
            if opc & 2 != 0 && size != 0 {
                return None;
            }
            (Element::Vector { register, width: 1 << scale, write: opc & 1 == 0 }, scale)
        } else {
            if size == 3 && opc > 1 || size == 2 && opc == 3 {
                return None;
            }
            let access = Access {
                width: 1 << size,
                register,
                write: opc == 0,
                sign_extend: opc > 1,
                wide: size == 3 || opc == 2,
            };
            (Element::General(access), size)
        };
        let (offset, change) = match (fields.get(24, 2), fields.get(21, 1), fields.get(10, 2)) {
            (0b00, 0, 0b01) => (0, Some(fields.signed(12, 9))),
            (0b00, 0, 0b11) => (fields.signed(12, 9), Some(fields.signed(12, 9))),
            // Of general registers a syndrome describes these.
            (0b00, 0, 0b00) if is_vector => (fields.signed(12, 9), None),
            (0b01, ..) if is_vector => (i64::from(fields.get(10, 12)) << scale, None),
            _ => return None,
        };
        Some(Self { first, second: None, base, offset, change })
    }

    fn pair(fields: &Fields) -> Option<Self> {
        let (opc, write, base) = (fields.get(30, 2), fields.get(22, 1) == 0, fields.get(5, 5) as u8);
        let element = |register| match (fields.get(26, 1), opc) {
            (0, 0 | 2) => {
                let width = if opc == 0 { 4 } else { 8 };
                Some(Element::General(Access { width, register, write, sign_extend: false, wide: width == 8 }))
            }
            (0, 1) if !write => {
                Some(Element::General(Access { width: 4, register, write, sign_extend: true, wide: true }))
            }
            (1, 0..=2) => Some(Element::Vector { register, width: 4 << opc, write }),
            _ => None,
        };
        let (first, second) = (element(fields.get(0, 5) as u8)?, element(fields.get(10, 5) as u8)?);
        let offset = fields.signed(15, 7) * i64::from(first.width());
        let (before, change) = match fields.get(23, 2) {
            0b01 => (0, Some(offset)),
            0b11 => (offset, Some(offset)),
            // With and without a hint that it won't be needed again.
            _ => (offset, None),
        };
        Some(Self { first, second: Some(second), base, offset: before, change })
    }

    /// Returns the address of the first element, given the base register.
    pub fn address(&self, base: u64) -> u64 {
        base.wrapping_add_signed(self.offset)
    }

    /// Returns the elements, in the order in which they stand in memory.
    pub fn elements(&self) -> impl Iterator<Item = Element> {
        [Some(self.first), self.second].into_iter().flatten()
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
        let first = Element::General(Access { width: 4, register: 0, write: false, sign_extend: false, wide: false });
        assert_eq!(transfer, Transfer { first, second: None, base: 1, offset: 0, change: Some(4) });
        assert_eq!(transfer.address(0x1000), 0x1000);
        // str x2, [sp, #-16]!
        let transfer = decoded(0xF81F_0FE2);
        let first = Element::General(Access { width: 8, register: 2, write: true, sign_extend: false, wide: true });
        assert_eq!(transfer, Transfer { first, second: None, base: 31, offset: -16, change: Some(-16) });
        assert_eq!(transfer.address(0x1000), 0xFF0);
        // strb w3, [x4], #1; ldrsb x3, [x4], #1; ldrsh w3, [x4, #2]!; ldrsw x3, [x4], #4
        for (instruction, width, write, sign_extend, wide) in [
            (0x3800_1483, 1, true, false, false),
            (0x3880_1483, 1, false, true, true),
            (0x78C0_2C83, 2, false, true, false),
            (0xB880_4483, 4, false, true, true),
        ] {
            let first = Element::General(Access { width, register: 3, write, sign_extend, wide });
            assert_eq!(decoded(instruction).first, first, "{instruction:#x}");
        }
    }

    #[test]
    fn pairs() {
        // ldp w5, w6, [x7]; stp x5, x6, [x7, #16]; ldp w5, w6, [x7], #8; stp w5, w6, [x7, #-8]!; ldpsw x5, x6, [x7,
        // #8]; ldnp x5, x6, [x7, #-16]
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
            let access = |register| Access { width, register, write, sign_extend, wide: width == 8 || sign_extend };
            let [first, second] = [5, 6].map(|register| Element::General(access(register)));
            let expected = Transfer { first, second: Some(second), base: 7, offset, change };
            assert_eq!(transfer, expected, "{instruction:#x}");
            assert_eq!(transfer.elements().collect::<Vec<_>>(), [first, second]);
        }
    }

    #[test]
    fn floating_point_and_vector_registers() {
        // ldr b0, [x1, #3]; str h0, [x1, #2]; ldr q0, [x1, #16]; ldur s0, [x1, #-4]; str d0, [x1], #8; ldr q0, [x1,
        // #-16]!
        for (instruction, width, write, offset, change) in [
            (0x3D40_0C20, 1, false, 3, None),
            (0x7D00_0420, 2, true, 2, None),
            (0x3DC0_0420, 16, false, 16, None),
            (0xBC5F_C020, 4, false, -4, None),
            (0xFC00_8420, 8, true, 0, Some(8)),
            (0x3CDF_0C20, 16, false, -16, Some(-16)),
        ] {
            let first = Element::Vector { register: 0, width, write };
            assert_eq!(decoded(instruction), Transfer { first, second: None, base: 1, offset, change });
        }
        // ldp s0, s2, [x1], #8; stp q0, q2, [x1, #32]
        for (instruction, width, write, offset, change) in
            [(0x2CC1_0820, 4, false, 0, Some(8)), (0xAD01_0820, 16, true, 32, None)]
        {
            let [first, second] = [0, 2].map(|register| Element::Vector { register, width, write });
            assert_eq!(decoded(instruction), Transfer { first, second: Some(second), base: 1, offset, change });
        }
    }

    #[test]
    fn everything_else_is_none_of_these() {
        for instruction in [
            0xB940_0020, // ldr w0, [x1]
            0xB840_0020, // ldur w0, [x1]
            0xF8A2_6820, // prfm
            0xF880_0C20, // size 3, signed
            0xFC62_6820, // ldr d0, [x1, x2]
            0x4C40_7C20, // ld1 {v0.2d}, [x1]
            0x7C80_0420, // size 1, 128 bits
            0xEC40_0420, // ldp of no size
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
